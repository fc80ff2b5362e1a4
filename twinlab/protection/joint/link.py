"""The ways between a party and all others: a connection to each by mutual TLS, and exchanges in which all send to all.

A party listens on one address. Of two parties the one whose name sorts later connects to the other; whoever connects is
known by its certificate (`identity`). Once all are connected a party listens no longer, so nobody else gets in.

A message is its length in 4 bytes, big-endian, and its bytes. In each exchange every party sends every other one
message, and no longer one than was agreed is taken. Who sends none in time, closes its connection or sends another
length is not heard again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.identity import Identity, find_peer, make_context

LOOPBACK = "127.0.0.1"
_LENGTH = struct.Struct(">I")
#: Who was connected to says this, so that who connected knows it was let in.
_WELCOME = b"twinlab joint 1\n"
_SECONDS_TO_SHAKE_HANDS, _SECONDS_TO_CLOSE, _SECONDS_BETWEEN_TRIES = 10.0, 3.0, 0.1
#: Waits are cut into such parts, so that an interrupt at the keyboard is seen everywhere.
_SECONDS_BETWEEN_LOOKS = 0.2
_REFUSED = "one of the two certificates is not the agreed one"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Received:
    """A message as it came.

    Attributes:
      sender: as its certificate says; public.
      phase: of the exchange; public.
      body: private to the receiver.
      seconds: from the beginning of the exchange until it was there.
    """

    sender: str
    phase: str
    body: bytes = field(repr=False)
    seconds: float


@dataclass
class _Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Link:
    """A party's connections, for as long as a `with` block lasts: `connect` once, then `exchange` after `exchange`.

    Attributes:
      name: whose it is.
      address: where it listens, as "host:port".
      received: all messages that came, in the order in which they were taken.
    """

    def __init__(self, identity: Identity, *, time_limit_s: float, listen: str = f"{LOOPBACK}:0") -> None:
        """Begin to listen; nobody is let in before `connect`.

        Args:
          identity: of this party; its key is private.
          time_limit_s: how long an exchange may take; public.
          listen: where to, as "host:port"; this machine alone, on a free port, when left out.

        Raises:
          SpecificationError: if nobody can listen there.
        """
        self.name = identity.name
        self.received: list[Received] = []
        self._identity, self._seconds = identity, time_limit_s
        self._peers: dict[str, _Peer] = {}
        self._faults: dict[str, str] = {}
        host, port = split_address(listen)
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family)
        except OSError as error:
            raise SpecificationError(
                f"listen: expected an address of this machine that is free, got {listen} ({error.strerror}); choose "
                "another"
            ) from None
        self._socket.setblocking(False)
        bound = self._socket.getsockname()
        self.address = f"[{bound[0]}]:{bound[1]}" if family == socket.AF_INET6 else f"{bound[0]}:{bound[1]}"
        self._loop = asyncio.SelectorEventLoop()  # which can wait for a socket on every system
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Link({self.name!r}, connected to {len(self._peers)})"

    def connect(
        self, addresses: Mapping[str, str], certificates: Mapping[str, str], *, wait_s: float | None = None
    ) -> None:
        """Connect to all other parties, each of which does the same.

        Args:
          addresses: of the others, by name, as "host:port"; public.
          certificates: of the others, by name, PEM; public.
          wait_s: how long to wait until all are there; an exchange's time limit when None.

        Raises:
          ProtocolError: if a party is not there in time, or shows another certificate; the message names it.
          SpecificationError: if names do not match, or two parties have one certificate.
        """
        others = set(certificates)
        if others != set(addresses) or self.name in others:
            raise SpecificationError("certificates: expected one for each other party's address, got others; see both")
        if len({*certificates.values(), self._identity.certificate}) < len(certificates) + 1:
            raise SpecificationError("certificates: expected a different one for each party, got one twice")
        seconds = self._seconds if wait_s is None else wait_s
        self._run(self._connect(addresses, certificates, seconds))
        if missing := sorted(others - self._peers.keys()):
            raise ProtocolError(
                f"connect: expected all parties within {seconds:g} s, got none of {self.describe(missing)}; look "
                "whether it runs, and at addresses, certificates and firewalls"
            )

    def exchange(self, phase: str, messages: Mapping[str, bytes], *, most_bytes: int) -> dict[str, bytes]:
        """Send each other party a message, and wait for one from each.

        Args:
          phase: what for, in words of errors and of the record; public.
          messages: by receiver; each private to it.
          most_bytes: the longest that may come; public.

        Returns:
          What came, by sender; private. Who sent nothing in time is missing, and stays so.
        """
        begin = time.monotonic()
        came = self._run(self._exchange(messages, most_bytes, begin))
        found = {name: came[name] for name in messages if name in came}
        self.received += [Received(name, phase, body, seconds) for name, (body, seconds) in found.items()]
        return {name: body for name, (body, _) in found.items()}

    def describe(self, names: Iterable[str]) -> str:
        """Parties that are missing, and why as far as this one knows."""
        return ", ".join(f"{name} ({self._faults[name]})" if name in self._faults else name for name in names)

    def close(self) -> None:
        """Send what was not sent yet, and end all connections. Doing it again does nothing."""
        if self._loop.is_closed():
            return
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Found]) -> Found:
        """Let the thread of connections do something, and wait for it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while not future.done():
                concurrent.futures.wait([future], timeout=_SECONDS_BETWEEN_LOOKS)
        finally:
            future.cancel()
        return future.result()

    async def _connect(self, addresses: Mapping[str, str], certificates: Mapping[str, str], seconds: float) -> None:
        contexts = [make_context(self._identity, certificates, listens=listens) for listens in (True, False)]
        later = {name: certificate for name, certificate in certificates.items() if name > self.name}
        ways = [self._dial(name, addresses[name], certificates[name], contexts[1]) for name in addresses.keys() - later]
        if later:
            ways.append(self._let_in(later, contexts[0]))
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        await _cancel(tasks)
        self._socket.close()

    async def _dial(self, name: str, address: str, certificate: str, context: ssl.SSLContext) -> None:
        """Try to connect until it works; a certificate that does not fit ends it."""
        host, port = split_address(address)
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    host, port, ssl=context, ssl_handshake_timeout=_SECONDS_TO_SHAKE_HANDS
                )
            except ssl.SSLCertVerificationError:
                self._faults[name] = _REFUSED
                raise
            except OSError as error:
                self._faults.setdefault(name, f"no connection to {address}: {type(error).__name__}")
                await asyncio.sleep(_SECONDS_BETWEEN_TRIES)
                continue
            try:
                find_peer(_find_shown(writer), {name: certificate})
                if await reader.readexactly(len(_WELCOME)) == _WELCOME:
                    self._keep(name, _Peer(reader, writer))
                    return
            except (ssl.SSLError, ProtocolError):
                self._faults[name] = _REFUSED
                raise
            except (OSError, EOFError):
                self._faults[name] = "it closed the connection at once, as it does to another certificate than it knows"
                await asyncio.sleep(_SECONDS_BETWEEN_TRIES)
            finally:
                if name not in self._peers:
                    writer.transport.abort()

    async def _let_in(self, certificates: Mapping[str, str], context: ssl.SSLContext) -> None:
        """Take connections until all that should have connected are there; a stranger's attempt delays nobody."""
        tasks: set[asyncio.Future[None]] = set()
        everybody_came = asyncio.Event()

        def take() -> None:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # gone again, or too many at once
                return
            connection.setblocking(False)
            task = asyncio.ensure_future(self._welcome(connection, certificates, context, everybody_came.set))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        self._loop.add_reader(self._socket, take)
        try:
            await everybody_came.wait()
        finally:
            self._loop.remove_reader(self._socket)
            await asyncio.sleep(0)  # a task that has not begun would not close its connection
            await _cancel(tasks)

    async def _welcome(
        self,
        connection: socket.socket,
        certificates: Mapping[str, str],
        context: ssl.SSLContext,
        tell_all_came: Callable[[], None],
    ) -> None:
        """Let somebody in who shows the right certificate, and refuse all others without a word."""
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=context, ssl_handshake_timeout=_SECONDS_TO_SHAKE_HANDS
            )
        except OSError:
            return
        peer = _Peer(reader, asyncio.StreamWriter(transport, protocol, reader, self._loop))
        try:
            name = find_peer(_find_shown(peer.writer), {n: c for n, c in certificates.items() if n not in self._peers})
        except ProtocolError:
            transport.abort()
            return
        peer.writer.write(_WELCOME)
        self._keep(name, peer)
        if certificates.keys() <= self._peers.keys():
            tell_all_came()

    def _keep(self, name: str, peer: _Peer) -> None:
        self._peers[name] = peer
        self._faults.pop(name, None)

    async def _exchange(
        self, messages: Mapping[str, bytes], most_bytes: int, begin: float
    ) -> dict[str, tuple[bytes, float]]:
        """Send and receive at once, so that two long messages do not wait for each other."""
        came: dict[str, tuple[bytes, float]] = {}

        async def deal(name: str, peer: _Peer) -> None:
            sending = asyncio.ensure_future(_send(peer.writer, messages[name]))
            try:
                body = await _receive(peer.reader, most_bytes)
                came[name] = (body, time.monotonic() - begin)
                await sending
            except ProtocolError as error:
                self._drop(name, str(error))
            except (OSError, EOFError):
                self._drop(name, f"its connection closed after {time.monotonic() - begin:.1f} s")
            finally:
                await _cancel([sending])

        tasks = {name: asyncio.ensure_future(deal(name, self._peers[name])) for name in messages if name in self._peers}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=self._seconds)
        for name in [name for name, task in tasks.items() if not task.done()]:
            self._drop(name, f"it sent or read nothing for {self._seconds:g} s")
        await _cancel(tasks.values())
        return came

    def _drop(self, name: str, fault: str) -> None:
        """Hear somebody no longer."""
        self._faults[name] = fault
        self._peers.pop(name).writer.transport.abort()

    async def _close(self) -> None:
        self._socket.close()
        for peer in self._peers.values():
            peer.writer.close()
        closing = [asyncio.ensure_future(peer.writer.wait_closed()) for peer in self._peers.values()]
        if closing:
            await asyncio.wait(closing, timeout=_SECONDS_TO_CLOSE)
        await _cancel(closing)
        for peer in self._peers.values():
            peer.writer.transport.abort()
        self._peers.clear()
        await asyncio.sleep(0)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port".

    Raises:
      SpecificationError: if it is none.

    >>> split_address("[::1]:7461")
    ('::1', 7461)
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise SpecificationError(f"address: expected host:port, such as north.example.org:7461, got {address!r}")
    return host, int(port)


def _find_shown(writer: asyncio.StreamWriter) -> bytes | None:
    """The certificate that the other end showed."""
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return shown


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(_LENGTH.pack(len(body)) + body)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader, most_bytes: int) -> bytes:
    """A message, if it is not too long; more is not even read."""
    (n_bytes,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if n_bytes > most_bytes:
        raise ProtocolError(f"it announced {n_bytes} bytes where at most {most_bytes} were agreed on")
    return await reader.readexactly(n_bytes)


async def _cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """End tasks, whatever became of them."""
    each = list(tasks)
    for task in each:
        task.cancel()
    if each:
        done, _ = await asyncio.wait(each, timeout=_SECONDS_TO_CLOSE)
        for task in done:
            if not task.cancelled():
                task.exception()  # seen, so that nobody complains of it
