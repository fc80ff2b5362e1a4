"""The door to MPyC: links that are only between parties, numbers that can be divided, a process of its own.

MPyC is not imported here; its part is played by as much of it as a door needs.
"""

import asyncio
import socket
import ssl
import subprocess
import sys
from types import SimpleNamespace

import pytest

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.identity import make_context, make_identity
from twinlab.protection.joint.mpyc_arithmetic import Library, choose_fixed_point
from twinlab.protection.joint.mpyc_party import _Run, load_mpyc, secure_links
from twinlab.protection.joint.mpyc_wire import WireFormat

NAMES = ("north", "south", "east")
SECONDS = 5.0


class Exchanger(asyncio.Protocol):
    """Of MPyC's: a server's end learns a peer's number from its first two bytes."""

    def __init__(self, runtime, peer_pid=None):
        self.runtime, self.peer_pid, self.bytes, self.transport = runtime, peer_pid, bytearray(), None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.bytes.extend(data)
        if self.peer_pid is None and len(self.bytes) >= 2:
            self.peer_pid = int.from_bytes(self.bytes[:2], "little")
            self.runtime.parties[self.peer_pid].protocol = self
        self.runtime.heard.set()


@pytest.fixture(scope="module")
def identities():
    return {name: make_identity(name, days=1) for name in (*NAMES, "stranger")}


def visit(identities, call):
    """The last party listens as MPyC would; what came of a visit by `call(port)`, and the party's runtime."""

    async def work():
        loop = asyncio.get_running_loop()
        runtime = SimpleNamespace(_loop=loop, parties=[SimpleNamespace(protocol=None) for _ in NAMES])
        runtime.heard = asyncio.Event()
        exchange = SimpleNamespace(MessageExchanger=Exchanger)
        run = _Run(SimpleNamespace(stop=runtime.heard.set))
        listener = socket.create_server(("127.0.0.1", 0))
        certificates = {name: identities[name].certificate for name in NAMES}
        secure_links(Library(runtime, None, None, exchange), NAMES, certificates, identities["east"], listener, run)
        del loop.create_connection  # those who visit are others, and connect as they like
        # As MPyC does: all of the machine's addresses, no TLS.
        server = await loop.create_server(lambda: exchange.MessageExchanger(runtime), port=1, ssl=None)
        addresses = [each.getsockname()[0] for each in server.sockets]
        try:
            came = await asyncio.wait_for(call(server.sockets[0].getsockname()[1], runtime, run), SECONDS)
        finally:
            server.close()
        return came, runtime, run, addresses

    return asyncio.run(work())


def say(identities, name, number):
    async def call(port, runtime, run):
        others = {other: identities[other].certificate for other in NAMES if other != name}
        context = make_context(identities[name], others, listens=False)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(number.to_bytes(2, "little"))
        heard = asyncio.create_task(runtime.heard.wait())
        ended = asyncio.create_task(reader.read())
        await asyncio.wait([heard, ended], return_when=asyncio.FIRST_COMPLETED)
        fault = run.fault
        writer.close()
        for task in (heard, ended):
            task.cancel()
        await asyncio.gather(heard, ended, return_exceptions=True)
        return fault

    return call


def test_a_party_with_its_certificate_is_taken_for_itself(identities):
    fault, runtime, _, addresses = visit(identities, say(identities, "south", 1))
    assert addresses == ["127.0.0.1"]
    assert runtime.parties[1].protocol is not None
    assert fault is None


def test_a_party_that_says_anothers_number_is_refused_by_name(identities):
    _, runtime, run, _ = visit(identities, say(identities, "south", 0))
    assert [party.protocol for party in runtime.parties] == [None] * 3
    assert isinstance(run.fault, ProtocolError)
    assert str(run.fault).startswith("south: expected its own number")


def test_a_stranger_is_not_listened_to_and_stops_nothing(identities):
    _, runtime, run, _ = visit(identities, say(identities, "stranger", 0))
    assert [party.protocol for party in runtime.parties] == [None] * 3
    assert run.fault is None


def test_whoever_does_not_speak_tls_is_not_listened_to(identities):
    async def call(port, runtime, run):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((0).to_bytes(2, "little") + bytes(600))
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    _, runtime, run, _ = visit(identities, call)
    assert [party.protocol for party in runtime.parties] == [None] * 3
    assert run.fault is None


def test_a_party_that_is_gone_ends_the_run_by_name(identities):
    async def call(port, runtime, run):
        await say(identities, "north", 0)(port, runtime, run)
        while run.fault is None:
            await asyncio.sleep(0.01)

    _, _, run, _ = visit(identities, call)
    assert str(run.fault).startswith("north: expected its messages, got the end of its connection")


def test_links_know_no_older_tls(identities):
    context = make_context(identities["north"], {}, listens=True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_mpyc_is_not_loaded_into_a_process_that_has_other_work():
    argv = list(sys.argv)
    with pytest.raises(ProtocolError, match="expected a child process that compute_jointly started"):
        load_mpyc(NAMES, 0, 1, WireFormat())
    assert sys.argv == argv
    assert "mpyc" not in sys.modules


def test_the_process_of_a_party_is_not_started_by_hand():
    module = "twinlab.protection.joint.mpyc_party"
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "expected a child process that compute_jointly started" in done.stderr


@pytest.mark.parametrize(("n_bits", "places"), [(64, 20), (48, 18), (80, 28)])
def test_fixed_point_numbers_that_cannot_be_divided_are_refused(n_bits, places):
    runtime = SimpleNamespace(SecFxp=lambda *sizes: sizes)
    with pytest.raises(SpecificationError, match="quotients would be 0 without a word"):
        choose_fixed_point(runtime, n_bits, places)
    assert choose_fixed_point(runtime, 2 * places, places) == (2 * places, places)


def test_such_numbers_are_divided_to_0_without_a_word():
    """Why they are refused: MPyC itself, in a process of its own."""
    code = (
        "import sys; sys.argv = ['mpyc', '--no-log']\n"
        "from mpyc.runtime import mpc\n"
        "for bits, places in ((64, 20), (64, 32)):\n"
        "    print(mpc.run(mpc.output(1 / mpc.SecFxp(bits, places)(4.0))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env={"MPYC_NOUVLOOP": "1"}
    )
    naive, ours = map(float, done.stdout.split())
    assert naive == 0.0
    assert ours == pytest.approx(0.25, abs=1e-6)
