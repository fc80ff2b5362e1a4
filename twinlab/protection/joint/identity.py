"""By what parties know each other: a key of an elliptic curve and a certificate signed by it, compared as a whole.

There is no authority. Each party has the others' certificates, handed over before by people who know each other, and
takes a connection for a party's only if the other end shows exactly that party's certificate and has its key.
"""

from __future__ import annotations

import datetime
import os
import secrets
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from twinlab.errors import ProtocolError, SpecificationError

#: Clocks differ a little.
_EARLY = datetime.timedelta(minutes=10)
_MOST_NAME_CHARACTERS = 64


@dataclass(frozen=True)
class Identity:
    """A party's key and certificate.

    Attributes:
      name: public.
      certificate: PEM; public, the other parties need it.
      key: the private key.
    """

    name: str
    certificate: str = field(repr=False)
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """By which people compare certificates over a telephone."""
        return find_fingerprint(self.certificate)


def make_identity(name: str, days: int) -> Identity:
    """A new key (P-384) and a certificate that nobody but its owner vouches for.

    Args:
      name: of the party; public.
      days: that the certificate is valid for; public.

    Raises:
      SpecificationError: if the name is empty or too long for a certificate.
    """
    if not 1 <= len(name) <= _MOST_NAME_CHARACTERS:
        raise SpecificationError(
            f"name: expected 1 to {_MOST_NAME_CHARACTERS} characters, got {len(name)}; choose another"
        )
    key = ec.generate_private_key(ec.SECP384R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + datetime.timedelta(days=days))
        # It may vouch for nothing else.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA384())
    )
    return Identity(name, certificate.public_bytes(serialization.Encoding.PEM).decode(), key)


def write_identity(identity: Identity, folder: Path) -> tuple[Path, Path]:
    """Write a party's key, readable by its owner alone, and its certificate.

    Returns:
      The files of the key and the certificate.

    Raises:
      SpecificationError: if there is a key of that name, or the name cannot be a file's.
    """
    if Path(identity.name).name != identity.name:
        raise SpecificationError("name: expected one that a file can have, got one with a path in it; choose another")
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate = folder / f"{identity.name}.key", folder / f"{identity.name}.pem"
    text = identity.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except FileExistsError:
        raise SpecificationError(f"{key}: expected no such file, got one; keep that key, or move it away") from None
    certificate.write_text(identity.certificate, encoding="ascii")
    return key, certificate


def read_identity(name: str, key: Path, certificate: Path) -> Identity:
    """A party's key and certificate, as `write_identity` wrote them.

    Raises:
      SpecificationError: if they cannot be read, do not belong together, or others could read the key.
    """
    text = read_certificate(certificate)
    try:
        is_own = os.name != "posix" or not key.stat().st_mode & 0o077
        found = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SpecificationError(
            f"{key}: expected a private key in PEM, got none ({type(error).__name__}); make one with `party new`"
        ) from None
    if not is_own:
        raise SpecificationError(f"{key}: expected a file for its owner alone, got one others may read; chmod 600")
    if (
        not isinstance(found, ec.EllipticCurvePrivateKey)
        or found.public_key() != x509.load_pem_x509_certificate(text.encode()).public_key()
    ):
        raise SpecificationError(
            f"{key}: expected the key of {certificate}, got another; look for the one made with it"
        )
    return Identity(name, text, found)


def read_certificate(path: Path) -> str:
    """A certificate, PEM.

    Raises:
      SpecificationError: if there is none in the file.
    """
    try:
        text = path.read_text(encoding="ascii")
        find_fingerprint(text)
    except (OSError, ValueError) as error:
        raise SpecificationError(
            f"{path}: expected one certificate in PEM, got none ({type(error).__name__}); ask its party for it"
        ) from None
    return text


def find_fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate, as people compare it."""
    return x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA256()).hex(":")


def make_context(identity: Identity, certificates: Mapping[str, str], *, listens: bool) -> ssl.SSLContext:
    """TLS 1.3 with certificates on both sides, none but these.

    Args:
      identity: of this party.
      certificates: of the others, by name, PEM; public.
      listens: whether this end is the one that was connected to.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if listens else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # `find_peer` looks at the whole certificate
    context.verify_mode = ssl.CERT_REQUIRED
    if listens:
        context.num_tickets = 0  # every connection shows its certificate
    for certificate in certificates.values():
        context.load_verify_locations(cadata=certificate)
    # The library takes keys from files only. This one lies under a password that is forgotten at once.
    password = secrets.token_bytes(32).hex().encode()
    with tempfile.TemporaryDirectory(prefix="twinlab") as folder:
        file = Path(folder) / "identity.pem"
        text = identity.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
        file.touch(mode=0o600)
        file.write_bytes(text + identity.certificate.encode())
        context.load_cert_chain(file, password=password)
    return context


def find_peer(shown: bytes | None, certificates: Mapping[str, str]) -> str:
    """Whose certificate the other end of a connection showed.

    Args:
      shown: DER, as TLS has checked that the other end has its key; None if there was none.
      certificates: of the parties that are expected, by name, PEM; public.

    Raises:
      ProtocolError: if it is none of theirs.
    """
    for name, certificate in certificates.items():
        if shown is not None and ssl.PEM_cert_to_DER_cert(certificate) == shown:
            return name
    raise ProtocolError(
        f"connection: expected the certificate of {' or '.join(certificates)}, got another; nothing was said to it"
    )
