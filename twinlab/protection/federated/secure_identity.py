"""Who is who among the devices of a secure sum: each one's own key, and the keys of the others that it believes in.

A device makes an Ed25519 key at its first use and keeps it in its Flower context. It takes the others' public keys from
the server and pins each at first sight (trust on first use); another key under a known name is refused. A server that
lies from its first message on can still be all the others. Where that matters, whoever runs the devices registers keys
beforehand, by two settings of the node:

- `secure-identity`: a file with 64 hexadecimal digits, the device's private key;
- `secure-directory`: a JSON file that gives each node's number its public key in hexadecimal digits. A device with a
  directory takes no key from the server.

Both come from the node's settings and never from the run's, which the server sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from twinlab.errors import ProtocolError
from twinlab.protection.federated.flower import ConfigRecord, Context

#: Names of the node's settings. Under the first, the device also keeps a key that it made.
IDENTITY, DIRECTORY = "secure-identity", "secure-directory"
#: Where a device keeps whom it has met.
PEERS = "secure-peers"
_KEY_BYTES = 32


def open_identity(context: Context) -> Ed25519PrivateKey:
    """The device's own key: registered, or made at first use and kept; private.

    Raises:
      ProtocolError: if a registered key cannot be read.
    """
    file = context.node_config.get(IDENTITY)
    if file is not None:
        return Ed25519PrivateKey.from_private_bytes(_read_key(_read_file(file).strip()))
    if IDENTITY not in context.state:
        context.state[IDENTITY] = ConfigRecord({"key": Ed25519PrivateKey.generate().private_bytes_raw()})
    kept: Any = context.state[IDENTITY]
    return Ed25519PrivateKey.from_private_bytes(kept["key"])


def check_keys(offered: Mapping[int, bytes], context: Context) -> None:
    """Refuse keys that are not the registered ones or, without a directory, not those seen first; pin new ones.

    Args:
      offered: node to raw public key, as the server says; public.
      context: the device's own.

    Raises:
      ProtocolError: if a key is not the known one. Nothing is pinned then.
    """
    file = context.node_config.get(DIRECTORY)
    if file is not None:
        registered = _read_directory(file)
        strangers = [node for node, key in offered.items() if registered.get(node) != key]
    else:
        pinned: Any = context.state.get(PEERS, {})
        strangers = [node for node, key in offered.items() if pinned.get(str(node), key) != key]
    if strangers:
        raise ProtocolError(
            f"advertise: expected the keys that this device knows, got others for {len(strangers)} of its group, the "
            f"first node {min(strangers)}; find out who changed them"
        )
    if file is None:
        if PEERS not in context.state:
            context.state[PEERS] = ConfigRecord()
        met: Any = context.state[PEERS]
        for node, key in offered.items():
            if str(node) not in met:
                met[str(node)] = key


def _read_directory(file: object) -> dict[int, bytes]:
    """Registered public keys by node."""
    try:
        registered = json.loads(_read_file(file))
        return {int(node): _read_key(key) for node, key in registered.items()}
    except (ValueError, AttributeError):
        raise ProtocolError("secure-directory: expected a JSON object of node and key, got something else") from None


def _read_file(file: object) -> str:
    """A file of the node's settings."""
    try:
        return Path(str(file)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProtocolError(
            f"registered keys: expected a text file, got one that cannot be read ({type(error).__name__}); correct the "
            "node's settings"
        ) from None


def _read_key(text: object) -> bytes:
    """A key from hexadecimal digits."""
    try:
        key = bytes.fromhex(str(text))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ProtocolError(f"registered key: expected {2 * _KEY_BYTES} hexadecimal digits, got something else")
    return key
