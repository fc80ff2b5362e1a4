"""A party's key stays its own, and a certificate is taken for the agreed one only if it is that one as a whole."""

import os
import ssl
from dataclasses import replace

import pytest

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.identity import (
    find_peer,
    make_context,
    make_identity,
    read_certificate,
    read_identity,
    write_identity,
)


@pytest.fixture(scope="module")
def north():
    return make_identity("north", 2)


def test_an_identity_reads_back_and_its_key_is_its_owners(north, tmp_path):
    key, certificate = write_identity(north, tmp_path / "keys")
    found = read_identity("north", key, certificate)
    assert (found.certificate, found.fingerprint) == (north.certificate, north.fingerprint)
    assert found.key.private_numbers() == north.key.private_numbers()
    if os.name == "posix":
        assert key.stat().st_mode & 0o777 == 0o600
        key.chmod(0o640)
        with pytest.raises(SpecificationError, match="expected a file for its owner alone"):
            read_identity("north", key, certificate)
    with pytest.raises(SpecificationError, match="expected no such file, got one; keep that key"):
        write_identity(north, tmp_path / "keys")


def test_what_does_not_belong_together_is_refused(north, tmp_path):
    key, certificate = write_identity(north, tmp_path)
    other = write_identity(make_identity("south", 2), tmp_path)
    with pytest.raises(SpecificationError, match="expected the key of"):
        read_identity("north", key, other[1])
    with pytest.raises(SpecificationError, match="expected one certificate in PEM, got none"):
        read_certificate(key)
    with pytest.raises(SpecificationError, match=r"expected a private key in PEM, got none \(ValueError\)"):
        read_identity("north", certificate, certificate)
    with pytest.raises(SpecificationError, match="expected one that a file can have"):
        write_identity(replace(north, name="../north"), tmp_path)
    with pytest.raises(SpecificationError, match="expected 1 to 64 characters, got 0"):
        make_identity("", 2)


def test_no_key_is_left_on_disk_and_none_is_shown(north, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = make_context(north, {"south": make_identity("south", 2).certificate}, listens=True)
    assert list(tmp_path.iterdir()) == []
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert repr(north) == "Identity(name='north')"


def test_a_certificate_of_the_same_name_is_another_one(north):
    known = {"north": north.certificate, "south": make_identity("south", 2).certificate}
    assert find_peer(ssl.PEM_cert_to_DER_cert(north.certificate), known) == "north"
    for shown in (None, ssl.PEM_cert_to_DER_cert(make_identity("north", 2).certificate)):
        with pytest.raises(ProtocolError, match="expected the certificate of north or south, got another"):
            find_peer(shown, known)
