"""The door to MPyC, and the process of one party: `python -m twinlab.protection.joint.mpyc_party`.

Importing MPyC reads the command line, takes over the root logger and keeps a single runtime a process. So it is loaded
here alone, in a child that `Children` started, after the command line was made for it. What it does by itself is
closed:

- It listens on all of a machine's addresses. Here a party binds a port of its own on loopback before MPyC starts.
- It believes a peer's number. Here both ends of a connection, on loopback too, are TLS 1.3 with certificates made for
  this run, and a peer's number must be that of its certificate.
- It reads what peers send with `pickle`, which runs whatever they like. `WireFormat` reads numbers and words.
- It checks its threshold with `assert`, which `python -O` leaves out. Terms are checked before.
- It divides fixed point numbers to 0, silently, unless they have twice as many bits as binary places.
  `choose_fixed_point` makes no others.
- It waits for a party that is gone for ever. Here a lost connection or a time limit ends the run and names the party.
- It opens a value from just enough shares, so a false one goes unseen. Here parties compare hashes of all that they
  opened before they use it. A false share of an opened sum is found so, as parties open from different shares. A lie in
  the steps before, or by more than may collude, is not: what is promised is for parties that do what they agreed to.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twinlab.errors import ProtocolError
from twinlab.protection.joint.child import LIFETIME_VARIABLE, PROGRESS, ParentLine, serve_parent
from twinlab.protection.joint.identity import Identity, find_peer, make_context, make_identity
from twinlab.protection.joint.mpyc_arithmetic import Library, MpycArithmetic
from twinlab.protection.joint.mpyc_computation import compute
from twinlab.protection.joint.mpyc_program import Program, check_parties, read_program
from twinlab.protection.joint.mpyc_wire import WireFormat

HOST = "127.0.0.1"
#: Of the masks that MPyC adds in comparisons: what they hide shows through with a chance of 2 to the minus this.
_STATISTICAL_BITS = 60


class _Run:
    """What goes wrong in callbacks, where no one awaits it, and how to end the loop then."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.fault: BaseException | None = None
        self.is_over = False

    def fail(self, error: BaseException) -> None:
        """Remember the first and end."""
        if self.fault is None and not self.is_over:
            self.fault = error
            self.loop.stop()

    def handle(self, loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """What asyncio calls; a stranger's broken connection is no concern of ours."""
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError):
            self.fail(error)


def check_process() -> None:
    """Refuse to be anything but a child of `compute_jointly`.

    Raises:
      ProtocolError: if this process was started by something else, or has MPyC already.
    """
    if LIFETIME_VARIABLE not in os.environ or "mpyc" in sys.modules:
        raise ProtocolError("MPyC: expected a child process that compute_jointly started, got another; call that")


def load_mpyc(names: Sequence[str], place: int, most_colluding: int, wire: WireFormat) -> Library:
    """Import MPyC as one party of several, with its ways of reading messages replaced.

    Returns:
      The library, not connected.

    Raises:
      ProtocolError: if this is no process of its own, or MPyC is another version than this door was made for.
    """
    check_process()
    parties = [part for at in range(len(names)) for part in ("-P", ":1" if at == place else f"{HOST}:1")]
    sys.argv = ["mpyc", *parties, "-T", str(most_colluding), "-K", str(_STATISTICAL_BITS), "--no-log"]
    # Its event loop stays Python's, whose server can be told where to listen; gmpy2 is not loaded even if it is there.
    os.environ.update(MPYC_NOUVLOOP="1", MPYC_NOGMPY="1")
    import mpyc.asyncoro  # noqa: PLC0415 - it reads the command line that was just made
    import mpyc.finfields  # noqa: PLC0415
    import mpyc.runtime  # noqa: PLC0415
    import mpyc.thresha  # noqa: PLC0415

    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "mpyc" and hasattr(module, "pickle"):
            module.pickle = wire  # type: ignore[attr-defined]
    runtime = mpyc.runtime.mpc
    if mpyc.runtime.pickle is not wire or len(runtime.parties) != len(names) or runtime.threshold != most_colluding:
        raise ProtocolError("MPyC: expected the version that twinlab was made for, got another; install mpyc 0.11")
    return Library(runtime, mpyc.finfields, mpyc.thresha, mpyc.asyncoro)


def secure_links(
    library: Library,
    names: Sequence[str],
    certificates: Mapping[str, str],
    identity: Identity,
    listener: socket.socket,
    run: _Run,
    *,
    lies: bool = False,
) -> None:
    """Make MPyC connect through TLS with these certificates only, and listen on this socket only.

    Args:
      library: whose runtime is not yet connected.
      names: of all parties, in their order.
      certificates: of all parties, PEM; public.
      identity: this party's.
      listener: bound to where the others look for it.
      run: told of what goes wrong.
      lies: for lessons and tests: say another party's number.
    """
    runtime, exchange = library.runtime, library.exchange
    others = {name: text for name, text in certificates.items() if name != identity.name}
    serving, calling = (make_context(identity, others, listens=listens) for listens in (True, False))
    loop = runtime._loop
    serve, call = loop.create_server, loop.create_connection
    loop.create_server = lambda factory, **_: serve(factory, sock=listener, ssl=serving)
    loop.create_connection = lambda factory, host, port, **_: call(factory, host, port, ssl=calling)

    class PinnedExchanger(exchange.MessageExchanger):  # type: ignore[name-defined]
        """One connection, whose other end showed a party's certificate."""

        n_sent = 0

        def connection_made(self, transport: Any) -> None:
            """Find out whose certificate it is; MPyC does not ask."""
            shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            self.shown = names.index(find_peer(shown, others))
            # Not whom we called, or one who is connected already.
            if self.peer_pid not in (None, self.shown) or runtime.parties[self.shown].protocol is not None:
                transport.abort()
                return
            if lies and self.peer_pid is not None:
                transport.write((self.peer_pid + 1).to_bytes(2, "little"))
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            """Let nobody say another's number."""
            start = (bytes(self.bytes[:2]) + data[:2])[:2]
            if self.peer_pid is None and len(start) == 2 and int.from_bytes(start, "little") != self.shown:
                run.fail(ProtocolError(f"{names[self.shown]}: expected its own number, got another's; it is refused"))
                self.transport.abort()
                return
            super().data_received(data)

        def send(self, pc: int, payload: bytes) -> None:
            self.n_sent += 1
            super().send(pc, payload)

        def connection_lost(self, exc: Exception | None) -> None:
            """A party that is gone ends the run."""
            if self.peer_pid is not None and runtime.parties[self.peer_pid].protocol is self:
                name = names[self.peer_pid]
                run.fail(ProtocolError(f"{name}: expected its messages, got the end of its connection; start again"))

    exchange.MessageExchanger = PinnedExchanger


def _serve(line: ParentLine) -> None:
    """One party's process, from its parent's first word to its last."""
    header, _ = line.read()
    names, place, most_colluding = header["names"], int(header["place"]), int(header["most_colluding"])
    check_parties(names, most_colluding)
    identity = make_identity(names[place], days=1)
    listener = socket.create_server((HOST, 0), backlog=len(names))
    line.say("ready", {"port": listener.getsockname()[1], "certificate": identity.certificate})
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    run, fault = _Run(loop), header["fault"]
    library = load_mpyc(names, place, most_colluding, WireFormat(sends_pickles=fault == "pickle"))
    runtime = library.runtime
    loop.set_exception_handler(run.handle)
    others, _ = line.read()
    secure_links(library, names, others["certificates"], identity, listener, run, lies=fault == "impostor")
    if place == 0:
        listener.close()  # MPyC's first party calls all others, and none calls it
    for party, port in zip(runtime.parties, others["ports"], strict=True):
        party.host, party.port = HOST, int(port)
    jobs = []
    for _ in range(int(header["n_jobs"])):
        fields, (rows,) = line.read()
        jobs.append((read_program(fields), rows))
    try:
        loop.run_until_complete(asyncio.wait_for(_work(line, library, names, jobs, run, fault), others["seconds"]))
    except TimeoutError:
        raise ProtocolError(
            f"{', '.join(_find_silent(runtime, names))}: expected messages within {others['seconds']:.0f} s, got none "
            "that were waited for; look whether it runs, or allow more time"
        ) from None
    except BaseException as error:
        raise run.fault or error from None


async def _work(
    line: ParentLine,
    library: Library,
    names: Sequence[str],
    jobs: Sequence[tuple[Program, np.ndarray]],
    run: _Run,
    fault: str,
) -> None:
    """Connect, and do one program after the other."""
    runtime = library.runtime
    await runtime.start()
    line.say("connected", {})
    links = [party.protocol for party in runtime.parties if party.pid != runtime.pid]
    arithmetic = MpycArithmetic(library, names, tampers=fault == "tamper")
    for at, (program, rows) in enumerate(jobs):
        kind = type(program).__name__
        await arithmetic.check_agreed(repr((program, list(names), runtime.threshold)), "program and parties")
        line.say(PROGRESS, {"program": kind, "at": at, "of": len(jobs)})
        if fault == "die":
            os._exit(9)
        if fault == "silent":
            time.sleep(float(os.environ[LIFETIME_VARIABLE]))
        start, n_bytes, n_sent = time.perf_counter(), _add_bytes(links), _find_most_sent(links)
        numbers = await compute(program, rows, arithmetic)
        await arithmetic.check_opened()
        fields = {"numbers": numbers, "seconds": time.perf_counter() - start}
        fields |= {"n_bytes": _add_bytes(links) - n_bytes, "n_messages": _find_most_sent(links) - n_sent}
        line.say("answer", fields)
    # The others may still need what is on its way to them; the parent ends this process.
    run.is_over = True
    await asyncio.to_thread(line.read)


def _add_bytes(links: Sequence[Any]) -> int:
    return sum(link.nbytes_sent for link in links)


def _find_most_sent(links: Sequence[Any]) -> int:
    return max(link.n_sent for link in links)


def _find_silent(runtime: Any, names: Sequence[str]) -> list[str]:
    """Parties that did not connect, or of whom something is waited for."""
    found = [
        name
        for party, name in zip(runtime.parties, names, strict=True)
        if party.pid != runtime.pid
        and (
            party.protocol is None or any(isinstance(item, asyncio.Future) for item in party.protocol.buffers.values())
        )
    ]
    return found or list(names)


if __name__ == "__main__":
    check_process()
    serve_parent(_serve)
