"""Claim: parties that are processes give the joint answer, hear nobody else, and are gone whatever happens.

What the network sees is recorded by relays between parties; that shares would be found in a record of them, were they
not encrypted, is seen on a plain connection.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from twinlab.errors import DataContractError, ProtocolError, SpecificationError
from twinlab.pipeline.joint_run import run_parties
from twinlab.protection.joint import (
    Column,
    HistogramQuestion,
    LogisticQuestion,
    MomentQuestion,
    SecretAdder,
    add_plainly,
    ask_jointly,
)
from twinlab.protection.joint.child import Children
from twinlab.protection.joint.identity import make_identity
from twinlab.protection.joint.link import Link, split_address
from twinlab.protection.joint.party_run import RunTerms, run_party
from twinlab.protection.joint.share_message import pack_elements

NAMES = ("north", "south", "east")
FEATURES = (Column("heart_rate_bpm", 30.0, 130.0, "bpm"), Column("sleep_min", 0.0, 900.0, "min"))
LOGISTIC = LogisticQuestion(FEATURES, Column("flare", 0, 1))
HISTOGRAM = HistogramQuestion(FEATURES[0], (30.0, 70.0, 80.0, 130.0))
SECONDS_TO_END = 10


def draw_tables():
    rng = np.random.default_rng(5)
    heart, sleep = rng.normal(75, 9, 600), rng.normal(420, 60, 600)
    flare = rng.random(600) < 1 / (1 + np.exp(-(heart - 75) / 10 + (sleep - 420) / 150))
    return dict(zip(NAMES, np.split(np.column_stack([heart, sleep, flare]), [90, 330]), strict=True))


TABLES = draw_tables()
TABLES_OF_ONE = {name: rows[:, :1] for name, rows in TABLES.items()}


@pytest.fixture
def family(monkeypatch):
    """The processes of a test's parties, as they were when all listened; they must have ended when the test ends."""
    seen, gather = {}, Children.gather

    def gather_and_look(children, kind):
        found = gather(children, kind)
        if kind == "ready":
            seen.update({name: psutil.Process(pid) for name, pid in children.pids.items()})
            seen["words"] = {word for name in NAMES for word in seen[name].cmdline()}
            seen["sockets"] = [each for name in NAMES for each in seen[name].net_connections(kind="inet")]
        return found

    monkeypatch.setattr(Children, "gather", gather_and_look)
    yield seen
    assert not [name for name in NAMES if seen[name].is_running()]


def test_three_processes_answer_as_the_pooled_rows_do_and_listen_on_loopback_alone(family):
    told = []
    found = run_parties(LOGISTIC, TABLES, on_progress=lambda *step: told.append(step))
    expected = ask_jointly(LOGISTIC, list(TABLES.values()), add_plainly)
    # Totals are off by half a step a party at most, which is below 1e-12 here, and the last Newton step is below 1e-6.
    assert found.answer.coefficients == pytest.approx(expected.coefficients, rel=1e-8)
    assert found.answer.standard_errors == pytest.approx(expected.standard_errors, rel=1e-8)
    assert found.n_rounds == expected.n_rounds == len(found.totals)
    assert [(each.laddr.ip, each.status) for each in family["sockets"]] == [("127.0.0.1", psutil.CONN_LISTEN)] * 3
    assert family["words"] == {sys.executable, "-P", "-m", "twinlab.pipeline.joint_party"}  # which others may read
    assert told[0] == ("parties agree", 0, 121)
    assert told[-1] == ("joint answer", 121, 121)
    assert [what for what, _, _ in told[1:4]] == ["sum 1: share", "sum 1: open", "sum 1: confirm"]

    here = SecretAdder(largest=1000.0, names=NAMES)
    ask_jointly(LOGISTIC, list(TABLES.values()), here)
    record = [(each.sender, each.receiver, each.kind, each.n_bytes) for each in found.transcript]
    assert sorted(record[6:]) == sorted((e.sender, e.receiver, e.kind, e.n_bytes) for e in here.messages)
    assert {str(each.guarantee) for each in here.messages} < {str(each.guarantee) for each in found.transcript}
    assert found.n_bytes == sum(each.n_bytes for each in found.transcript)
    assert str(found.guarantee).startswith("secret shared among north, south, east; against fewer than 2")


def test_nothing_is_left_after_an_interrupt(family):
    def interrupt(what, done, total):
        if what == "sum 2: share":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_parties(LOGISTIC, TABLES, on_progress=interrupt)


def test_a_crash_names_the_party_and_ends_all(family):
    with pytest.raises(ProtocolError, match="south: expected its process to do its part, got its end after"):
        run_parties(HISTOGRAM, TABLES_OF_ONE, fault={"south": "confirm"})


def test_a_silent_party_is_named_when_time_is_up(family, monkeypatch):
    """It is stopped as soon as it listens; that one is named which falls silent in a sum is tested for `Link`."""
    tell = Children.tell

    def suspend_and_tell(children, name, *told):
        if name == "south" and family:
            family[name].suspend()
        tell(children, name, *told)

    monkeypatch.setattr(Children, "tell", suspend_and_tell)
    with pytest.raises(ProtocolError, match="connect: expected all parties within 3 s, got none of south; look"):
        run_parties(LOGISTIC, TABLES, time_limit_s=6.0)


_PARENT = """
import time
import numpy as np
from twinlab.pipeline.joint_run import run_parties
from twinlab.protection.joint import Column, MomentQuestion
from twinlab.protection.joint.child import Children

class Stuck(Children):
    def tell(self, name, header, arrays=()):
        if "addresses" in header and name == "c":  # the others are connected and wait for this one
            print(*self.pids.values(), flush=True)
            time.sleep(60)
        super().tell(name, header, arrays)

run_parties.__globals__["Children"] = Stuck
run_parties(MomentQuestion((Column("x", 0, 1),)), {name: np.full((9, 1), 0.5) for name in "abc"})
"""


def test_nothing_is_left_when_the_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        children = [psutil.Process(int(word)) for word in parent.stdout.readline().split()]
        assert len([child for child in children if child.is_running()]) == 3
    finally:
        parent.kill()
        parent.communicate()
    _, alive = psutil.wait_procs(children, timeout=SECONDS_TO_END)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_faults_are_refused_before_anything_runs():
    with pytest.raises(SpecificationError, match="expected at least 3, got 2"):
        run_parties(LOGISTIC, {name: TABLES[name] for name in NAMES[:2]})
    with pytest.raises(SpecificationError, match="fault: expected parties out of north, south, east"):
        run_parties(LOGISTIC, TABLES, fault={"west": "share"})
    with pytest.raises(DataContractError, match="south: expected rows of numbers, got something else") as caught:
        run_parties(LOGISTIC, {**TABLES, "south": np.array([["61.75 bpm"]])})
    assert "61.75" not in str(caught.value)


class Relay:
    """Passes on bytes to an address, and keeps them: what whoever sits between two parties sees."""

    def __init__(self, address):
        self.seen = bytearray()
        self._to = split_address(address)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            connection, _ = self._server.accept()
            onward = socket.create_connection(self._to)
            ways = [
                threading.Thread(target=self._pass, args=pair) for pair in ((connection, onward), (onward, connection))
            ]
            for way in ways:
                way.start()
            for way in ways:
                way.join()
            connection.close()
            onward.close()

    def _pass(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self._server.close()


def test_the_network_sees_no_share_and_a_stranger_hears_nothing_and_stalls_nobody():
    """All ways between parties are relayed and kept; strangers connect first, one silent and one with words."""
    question = MomentQuestion(FEATURES)
    terms = RunTerms(NAMES, question)
    identities = {name: make_identity(name, 2) for name in NAMES}
    with contextlib.ExitStack() as stack:
        links = {name: stack.enter_context(Link(identities[name], time_limit_s=10.0)) for name in NAMES}
        strangers = [socket.create_connection(split_address(link.address)) for link in links.values() for _ in range(2)]
        for stranger in strangers[::2]:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(64))
        pairs = [(one, other) for one in NAMES for other in NAMES if one > other]  # the later one connects
        relays = {pair: stack.enter_context(contextlib.closing(Relay(links[pair[1]].address))) for pair in pairs}

        def work(name):
            others = [other for other in NAMES if other != name]
            with links[name] as link:
                link.connect(
                    {to: relays[name, to].address if name > to else links[to].address for to in others},
                    {to: identities[to].certificate for to in others},
                )
                return run_party(terms, link, TABLES[name][:, :2])

        with ThreadPoolExecutor(len(NAMES)) as pool:
            runs = dict(zip(NAMES, pool.map(work, NAMES), strict=True))
        for stranger in strangers:
            stranger.settimeout(SECONDS_TO_END)
            with contextlib.suppress(ConnectionError):
                # A refusal of the protocol itself, if anything: 7 bytes of a TLS alert.
                assert len(stranger.recv(4096)) in (0, 7)
            stranger.close()

    expected = ask_jointly(question, [rows[:, :2] for rows in TABLES.values()], add_plainly)
    assert runs["north"].answer.means == pytest.approx(expected.means, rel=1e-9)
    seen = [bytes(relay.seen) for relay in relays.values()]
    contents = [pack_elements(each.content) for run in runs.values() for each in run.received if each.phase == "share"]
    assert len(contents) == 2 * 6
    assert sum(map(len, seen)) > 2 * sum(map(len, contents))  # it did record them
    assert not [content for content in contents for text in seen if content in text]


def test_a_relay_would_find_what_is_sent_in_the_open():
    """The control."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        contextlib.closing(Relay(f"127.0.0.1:{server.getsockname()[1]}")) as relay,
    ):
        share = pack_elements(np.array([2**60 + 12345], dtype=np.uint64))
        with socket.create_connection(split_address(relay.address)) as sender:
            sender.sendall(share)
            receiver, _ = server.accept()
            with receiver:
                assert receiver.recv(64) == share
        assert share in relay.seen
