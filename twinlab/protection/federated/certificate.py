"""Certificates and keys for devices and server on one machine; real ones come from whoever runs the server."""

from __future__ import annotations

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: A run on one machine is over long before; a key that is left behind is then of no use.
_DAYS = 2
#: Clocks of one machine agree, yet a certificate that starts now may be looked at in the same second.
_EARLY = datetime.timedelta(minutes=5)


@dataclass(frozen=True)
class Certificates:
    """Files by which a server is known.

    Attributes:
      root: certificate of the authority, PEM; public, everybody who connects needs it.
      certificate: of the server, PEM; public.
      key: the server's private key, PEM, readable by its owner alone.
    """

    root: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, host: str) -> Certificates:
    """Make an authority of its own for one server on one address. The authority's key is forgotten at once.

    Args:
      folder: where the files go.
      host: the server's IP address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, server = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    root = (
        _begin("twinlab authority of one run", "twinlab authority of one run", authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_allow(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA384())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")])
    certificate = (
        _begin(host, "twinlab authority of one run", server.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_allow(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .add_extension(names, critical=False)
        .sign(authority, hashes.SHA384())
    )
    found = Certificates(folder / "root.pem", folder / "server.pem", folder / "server.key")
    found.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    found.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(found.key, server, serialization.PrivateFormat.PKCS8)
    return found


def make_node_key(folder: Path, name: str) -> tuple[Path, Path]:
    """Make the key by which a device proves who it is, in the form that `ssh-keygen -t ecdsa -b 384` gives.

    Args:
      folder: where the files go.
      name: of the files.

    Returns:
      The private key's file, readable by its owner alone, and the public key's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP384R1())
    private, public = folder / name, folder / f"{name}.pub"
    _write_private(private, key, serialization.PrivateFormat.OpenSSH)
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) + b"\n"
    )
    return private, public


def _begin(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )


def _allow(*, signs: bool) -> x509.KeyUsage:
    """What a key may be used for: signing certificates, or proving who the server is."""
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat) -> None:
    """Write a key to a file that nobody else could read at any moment."""
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
