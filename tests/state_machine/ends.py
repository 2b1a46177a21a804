"""The real ends of a connection. Each translates the errors that are documented for it. All others are failures."""

from __future__ import annotations

__all__ = [
    "Broken",
    "Busy",
    "ClientEnd",
    "ClosedHere",
    "End",
    "Ended",
    "HalfClosed",
    "Handler",
    "PeerEnd",
    "ServedEnd",
    "Unsupported",
]

import contextlib
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

from tests.state_machine.model import Protocol
from tests.support.background import Running, spawn
from tests.support.lines import line_protocol
from tests.support.peers import Peer
from tests.support.sockets import reset
from tests.support.stream_servers import Requests

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import (
    BusyResourceError,
    ClientClosedError,
    IncompletePacketError,
    UnsupportedOperation,
)
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import RawSerializer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler, INETClientAttribute

_SMALL = 1 << 14
"""Size of the send buffers of the system, in bytes. With small receive buffers too, TCP would often stand still."""


class Ended(Exception):
    """The stream has ended.

    Parameters:
        is_incomplete: whether in the middle of a packet; None if the error does not tell.
        is_ordinary: whether the other side seems to have ended it in order; None if the error does not tell.
    """

    def __init__(self, is_incomplete: bool | None, is_ordinary: bool | None = None) -> None:
        super().__init__(is_incomplete, is_ordinary)
        self.is_incomplete = is_incomplete
        self.is_ordinary = is_ordinary


class ClosedHere(Exception):
    """This end is closed."""


class HalfClosed(Exception):
    """This end has closed its sending direction."""


class Broken(Exception):
    """The connection cannot send any more."""


class Busy(Exception):
    """Another task is receiving."""


class Unsupported(Exception):
    """TLS cannot be closed in one direction."""


_ORDINARY_ENDS = (ConnectionAbortedError, IncompletePacketError)
"""The errors of the library for the ordinary end of a stream. Other causes mean that the connection broke."""


def _protocol(name: Protocol) -> StreamProtocol[Any, Any]:
    return line_protocol() if name == "lines" else StreamProtocol(RawSerializer())


@contextlib.contextmanager
def _translated(broken: type[OSError]) -> Iterator[None]:
    """Translate the errors of calls that send and close. *broken* is what such a call documents."""
    try:
        yield
    except ClientClosedError as exc:
        raise ClosedHere from exc
    except UnsupportedOperation as exc:
        raise Unsupported from exc
    except broken as exc:
        raise Broken from exc
    except BusyResourceError as exc:
        raise Busy from exc
    except RuntimeError as exc:
        if "send_eof() was called" not in str(exc):
            raise
        raise HalfClosed from exc


@contextlib.contextmanager
def _translated_end() -> Iterator[None]:
    """Translate the errors of calls that receive."""
    try:
        yield
    except ClientClosedError as exc:
        raise ClosedHere from exc
    except ConnectionAbortedError as exc:
        cause = exc.__cause__
        raise Ended(isinstance(exc, IncompletePacketError), cause is None or type(cause) in _ORDINARY_ENDS) from exc


class End(ABC):
    """One end of a connection, and what the model knows about it."""

    is_ours = True
    """Whether it is an end of the library."""

    def __init__(self) -> None:
        self.protocol: Protocol = "lines"
        self.closed = False
        self.aborted = False
        self.half_closed = False
        self.receiving: Running[bytes] | None = None
        self.sending: Running[Any] | None = None
        self.closing: Running[Any] | None = None

    def encode(self, text: str) -> bytes:
        """Return what *text* is on the wire."""
        return text.encode() + (b"\n" if self.protocol == "lines" else b"")

    def _wire(self, packet: Any) -> bytes:
        return packet.encode() + b"\n" if self.protocol == "lines" else bytes(packet)

    @abstractmethod
    def start_receiving(self, timeout: float | None, by_yield: bool) -> Running[bytes]:
        """Begin to receive a packet. The result is what it is on the wire."""

    @abstractmethod
    async def send(self, text: str) -> None: ...
    @abstractmethod
    async def send_eof(self) -> None: ...
    @abstractmethod
    async def aclose(self) -> None: ...
    @abstractmethod
    async def abort(self) -> None: ...
    @abstractmethod
    def set_protocol(self, name: Protocol) -> None: ...
    @abstractmethod
    def is_closing(self) -> bool: ...


class ClientEnd(End):
    """A client of the library."""

    def __init__(self, client: AsyncTCPNetworkClient[Any, Any]) -> None:
        super().__init__()
        self._client = client
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)

    def start_receiving(self, timeout: float | None, by_yield: bool) -> Running[bytes]:
        return spawn(self._receive(timeout))

    async def _receive(self, timeout: float | None) -> bytes:
        with _translated_end():
            if timeout is None:
                return self._wire(await self._client.recv_packet())
            with self._client.backend().timeout(timeout):
                return self._wire(await self._client.recv_packet())

    async def send(self, text: str) -> None:
        with _translated(ConnectionAbortedError):
            await self._client.send_packet(text if self.protocol == "lines" else text.encode())

    async def send_eof(self) -> None:
        with _translated(ConnectionAbortedError):
            await self._client.send_eof()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def abort(self) -> None:
        await aclose_forcefully(self._client)

    def set_protocol(self, name: Protocol) -> None:
        with _translated(ConnectionAbortedError):
            self._client.set_protocol(_protocol(name))
            self.protocol = name

    def is_closing(self) -> bool:
        return self._client.is_closing()


class PeerEnd(End):
    """A plain peer, with or without TLS, as the client."""

    is_ours = False

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.protocol = "raw"
        self._peer = peer
        self._has_failed = False
        """Whether a call that sends has got the error of the connection. The system reports it once."""

    def start_receiving(self, timeout: float | None, by_yield: bool) -> Running[bytes]:
        return spawn(self._receive(timeout))

    async def _receive(self, timeout: float | None) -> bytes:
        try:
            data = await self._peer._receive()
        except OSError as exc:
            if self.closed:
                raise ClosedHere from exc
            raise Ended(None, is_ordinary=False) from exc
        if not data:
            raise Ended(None, is_ordinary=None if self._has_failed else True)
        return data

    async def send(self, text: str) -> None:
        try:
            await self._peer.send(text.encode())
        except OSError as exc:
            self._has_failed = True
            raise Broken from exc

    async def send_eof(self) -> None:
        try:
            self._peer.half_close()
        except OSError as exc:
            self._has_failed = True
            raise Broken from exc

    async def aclose(self) -> None:
        self._peer.close()

    async def abort(self) -> None:
        reset(self._peer.sock)

    def set_protocol(self, name: Protocol) -> None:
        pass

    def is_closing(self) -> bool:
        return self._peer.sock.fileno() < 0


class _Job(Running[bytes]):
    """A request to the handler: receive a packet, or return."""

    def __init__(self, backend: AsyncBackend, kind: Literal["yield", "recv_packet", "return"], timeout: float | None):
        super().__init__(backend)
        self.kind = kind
        self.timeout = timeout

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        try:
            with self._scope, _translated_end():
                yield
        except GeneratorExit:
            self.error = Ended(None)
            raise
        except Exception as exc:
            self.error = exc
        except BaseException:  # the server cancels the handler
            self.error = Ended(None)
            raise
        finally:
            self._ended.set()

    def set_result(self, packet: bytes) -> None:
        self._result = packet


class ServedEnd(End):
    """A client object of the server. The handler does what this asks it to do."""

    def __init__(self, client: AsyncStreamClient[Any, Any]) -> None:
        super().__init__()
        self.client = client
        self.has_yielded = False
        """Whether the generator may return: before its first ``yield``, that would close the connection."""
        self.has_left = False
        """Whether the handler does not take requests any more."""
        self.is_over = False
        self.is_taken = False
        self._jobs: deque[_Job] = deque()
        self._wake = client.backend().create_event()
        sock = client.extra(INETClientAttribute.socket)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SMALL)

    def start_receiving(self, timeout: float | None, by_yield: bool) -> Running[bytes]:
        return self._ask("yield" if by_yield else "recv_packet", timeout)

    def start_another_generator(self) -> None:
        """Let the generator return. The server then calls ``handle()`` again."""
        self._ask("return", None)

    def _ask(self, kind: Literal["yield", "recv_packet", "return"], timeout: float | None) -> _Job:
        job = _Job(self.client.backend(), kind, timeout)
        self._jobs.append(job)
        self._wake.set()
        return job

    async def next_job(self) -> _Job:
        while not self._jobs:
            self._wake = self.client.backend().create_event()
            await self._wake.wait()
        return self._jobs.popleft()

    def wire(self, packet: Any) -> bytes:
        return self._wire(packet)

    async def send(self, text: str) -> None:
        with _translated(ConnectionError):
            await self.client.send_packet(text if self.protocol == "lines" else text.encode())

    async def send_eof(self) -> None:
        with _translated(ConnectionError):
            await self.client.send_eof()

    async def aclose(self) -> None:
        await self.client.aclose()

    async def abort(self) -> None:
        await aclose_forcefully(self.client)

    def set_protocol(self, name: Protocol) -> None:
        with _translated(ConnectionAbortedError):
            self.client.set_protocol(_protocol(name))
            self.protocol = name

    def is_closing(self) -> bool:
        return self.client.is_closing()


class Handler(AsyncStreamRequestHandler[Any, Any]):
    """Does what the end of each connection asks for."""

    def __init__(self) -> None:
        self.ends: dict[AsyncStreamClient[Any, Any], ServedEnd] = {}
        self.connected = 0

    async def on_connection(self, client: AsyncStreamClient[Any, Any], /) -> None:
        self.ends[client] = ServedEnd(client)
        self.connected += 1

    async def handle(self, client: AsyncStreamClient[Any, Any], /) -> Requests:
        end = self.ends[client]
        end.has_yielded = False
        while True:
            job = await end.next_job()
            with job.running():
                if job.kind == "return":
                    return
                if job.kind == "yield":
                    end.has_yielded = True
                    job.set_result(end.wire((yield job.timeout)))
                else:
                    job.set_result(end.wire(await client.recv_packet(timeout=job.timeout)))

    async def on_disconnection(self, client: AsyncStreamClient[Any, Any], /) -> None:
        self.ends.pop(client).is_over = True
