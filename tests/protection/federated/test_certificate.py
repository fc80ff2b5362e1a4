"""Certificates and keys of one machine: taken for what they are, and for nothing else."""

import socket
import ssl
import stat
import sys
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from twinlab.protection.federated.certificate import make_certificates, make_node_key


def _shake_hands(certificates, root, name):
    """A TLS server with these certificates, and a client that trusts this root and looks for this name."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.certificate, certificates.key)
    client = ssl.create_default_context(cafile=str(root))
    here, there = socket.socketpair()

    def serve():
        try:
            with server.wrap_socket(there, server_side=True) as link:
                link.recv(1)
        except OSError:  # the client hung up
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name) as link:
            link.send(b"x")
            return link.version()
    finally:
        here.close()
        thread.join()


def test_a_server_is_known_by_its_own_root_and_address_alone(tmp_path):
    own, other = make_certificates(tmp_path / "own", "127.0.0.1"), make_certificates(tmp_path / "other", "127.0.0.1")
    assert _shake_hands(own, own.root, "127.0.0.1") == "TLSv1.3"
    assert _shake_hands(own, own.root, "localhost") == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(own, other.root, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(own, own.root, "127.0.0.2")


def test_a_servers_certificate_signs_no_others(tmp_path):
    """Whoever steals the server's key can be that server, and nobody else."""
    own = make_certificates(tmp_path / "own", "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(own, own.certificate, "127.0.0.1")


def test_a_node_key_is_a_pair_of_the_curve_that_flower_takes(tmp_path):
    private, public = make_node_key(tmp_path, "node")
    key = serialization.load_ssh_private_key(private.read_bytes(), password=None)
    half = serialization.load_ssh_public_key(public.read_bytes())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp384r1"
    assert key.public_key() == half
    assert make_node_key(tmp_path, "other")[1].read_bytes() != public.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="WINDOWS has no file modes")
def test_private_halves_are_their_owners_alone(tmp_path):
    certificates, (private, _) = make_certificates(tmp_path, "127.0.0.1"), make_node_key(tmp_path, "node")
    for path in (certificates.key, private):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = [path for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(kept) == sorted([certificates.key, private]), "the authority's key is forgotten"
