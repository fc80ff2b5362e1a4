"""Parties on one machine, a thread each: all hear all, and one that is silent, gone or a stranger is told apart."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.identity import make_identity
from twinlab.protection.joint.link import Link, split_address

NAMES = ("east", "north", "south")
LONG = 300_000


@pytest.fixture(scope="module")
def identities():
    return {name: make_identity(name, 2) for name in NAMES}


@contextlib.contextmanager
def make_links(identities, time_limit_s=5.0):
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(Link(identity, time_limit_s=time_limit_s))
            for name, identity in identities.items()
        }


def connect(links, name, certificates, **changed):
    others = [other for other in NAMES if other != name]
    known = {other: certificates[other].certificate for other in others}
    links[name].connect({other: links[other].address for other in others}, {**known, **changed})


def run_each(work, names=NAMES):
    """Do something for each party at once; what came of it, an error too."""

    def keep(name):
        try:
            return work(name)
        except (ProtocolError, SpecificationError) as error:
            return error

    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(keep, names), strict=True))


def test_all_hear_all_messages_longer_than_any_buffer(identities):
    def work(name):
        connect(links, name, identities)
        short = links[name].exchange(
            "one", {to: f"{name} to {to}".encode() for to in NAMES if to != name}, most_bytes=99
        )
        long = links[name].exchange(
            "two", {to: name[:1].encode() * LONG for to in NAMES if to != name}, most_bytes=LONG
        )
        return short, long

    with make_links(identities) as links:
        found = run_each(work)
        for name, (short, long) in found.items():
            others = [other for other in NAMES if other != name]
            assert short == {other: f"{other} to {name}".encode() for other in others}
            assert long == {other: other[:1].encode() * LONG for other in others}
            record = links[name].received
            assert [(each.sender, each.phase) for each in record] == [(o, p) for p in ("one", "two") for o in others]
            assert all(0 <= each.seconds < 5 for each in record)
            assert "east to" not in repr(record)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("silent", "it sent or read nothing for 1 s"),
        ("gone", "its connection closed after 0"),
        ("longer", "it announced 11 bytes where at most 10 were agreed on"),
    ],
)
def test_one_fault_delays_nobody_beyond_the_limit_and_is_described(identities, fault, reason):
    heard = threading.Event()

    def work(name):
        connect(links, name, identities)
        letters = {to: b"0123456789" for to in NAMES if to != name}
        links[name].exchange("first", letters, most_bytes=10)
        if name == "south":
            match fault:
                case "silent":
                    heard.wait(10)
                case "longer":
                    links[name].exchange("second", dict.fromkeys(letters, b"0123456789+"), most_bytes=10)
                case "gone":
                    links[name].close()
            return None
        begin = time.monotonic()
        came = links[name].exchange("second", letters, most_bytes=10)
        seconds = time.monotonic() - begin
        if "silent" in fault:
            again = links[name].exchange("third", dict.fromkeys(letters, b""), most_bytes=10)
            assert "south" not in again
            heard.set()
        return came, seconds, links[name].describe(["south"])

    with make_links(identities, time_limit_s=1.0) as links:
        found = run_each(work)
    for name, other in (("east", "north"), ("north", "east")):
        came, seconds, described = found[name]
        assert came == {other: b"0123456789"}
        assert seconds < 4
        assert described.startswith(f"south ({reason}")


def test_a_strangers_certificate_is_refused_on_either_side(identities):
    """South has made itself a new certificate: it neither gets in nor is it taken for whom north connects to."""
    changed = {**identities, "south": make_identity("south", 2)}

    with make_links(changed, time_limit_s=1.0) as links:
        found = run_each(lambda name: connect(links, name, changed if name == "south" else identities))
    assert str(found["south"]).count("it closed the connection at once, as it does to another certificate") == 2
    assert "got none of south" in str(found["north"])
    assert "got none of south" in str(found["east"])

    changed = {**identities, "east": make_identity("east", 2)}
    with make_links(changed, time_limit_s=1.0) as links:
        found = run_each(lambda name: connect(links, name, changed if name == "east" else identities))
    for name in ("north", "south"):
        assert "got none of east (one of the two certificates is not the agreed one)" in str(found[name])
    assert isinstance(found["east"], ProtocolError)


def test_nobody_passes_for_another_party_with_its_own_certificate(identities):
    """North answers at east's address: it has an agreed certificate, but not that of who was called."""
    with make_links(identities, time_limit_s=1.0) as links:

        def work(name):
            others = [other for other in NAMES if other != name]
            addresses = {other: links[other].address for other in others}
            if name == "south":
                addresses["east"] = addresses["north"]
            links[name].connect(addresses, {other: identities[other].certificate for other in others})

        found = run_each(work)
    assert "east (one of the two certificates" in str(found["south"])


def test_what_cannot_be_connected_is_said(identities):
    with make_links(identities, time_limit_s=0.5) as links:
        with pytest.raises(SpecificationError, match="expected a different one for each party, got one twice"):
            connect(links, "north", identities, south=identities["north"].certificate)
        with pytest.raises(SpecificationError, match="expected one for each other party's address, got others"):
            links["north"].connect({}, {"south": identities["south"].certificate})
        with pytest.raises(SpecificationError, match="expected an address of this machine that is free"):
            Link(identities["north"], time_limit_s=1.0, listen=links["south"].address)
        with pytest.raises(ProtocolError, match="got none of east, south; look whether it runs"):
            connect(links, "north", identities)


@pytest.mark.parametrize("address", ["north", "north:", ":7461", "north:x", "north:70000", "north:²"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(SpecificationError, match="expected host:port"):
        split_address(address)
