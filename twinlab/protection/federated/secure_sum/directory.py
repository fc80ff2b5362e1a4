"""Who is who: the clients' long-lived Ed25519 keys, from somewhere else than the server that is not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.secure_sum.terms import check_identifier

Directory = dict[int, Ed25519PublicKey]


def read_directory(keys: Mapping[int, bytes]) -> Directory:
    """Client id to raw public key (32 bytes), opened and checked.

    Raises:
      SpecificationError: if an id or a key is malformed, or a key stands under two ids: one client would count twice.
    """
    directory = {}
    for client_id, key in keys.items():
        check_identifier("client_id", client_id)
        try:
            directory[client_id] = Ed25519PublicKey.from_public_bytes(bytes(key))
        except ValueError as fault:
            raise SpecificationError(
                f"directory: expected 32 bytes of an Ed25519 public key for client {client_id}, got {len(key)}; give "
                "the raw key"
            ) from fault
    if len({bytes(key) for key in keys.values()}) < len(directory):
        raise SpecificationError("directory: expected a key for each client, got one under two ids; remove one of them")
    return directory


def verify_signature(directory: Directory, client_id: int, signature: bytes, statement: bytes) -> None:
    """Refuse a statement that this client did not sign."""
    if client_id not in directory:
        raise ProtocolError(f"expected clients of the directory, got {client_id}, who is not in it")
    try:
        directory[client_id].verify(signature, statement)
    except InvalidSignature:
        raise ProtocolError(f"expected client {client_id}'s own signature, got one that does not fit") from None
