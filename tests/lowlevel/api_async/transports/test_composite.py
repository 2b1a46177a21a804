from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NoReturn

import pytest
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE, Peer

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramReadTransport,
    AsyncDatagramWriteTransport,
    AsyncListener,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)
from easynetwork.lowlevel.api_async.transports.composite import (
    AsyncStapledDatagramTransport,
    AsyncStapledStreamTransport,
)
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import StreamProtocol

LINES: StreamProtocol[str, str] = line_protocol()


# --- parts, as users may write them


class Part(AsyncBaseTransport):
    """Notes what it is asked for."""

    close_error: BaseException | None = None
    close_gate: asyncio.Event | None = None

    def __init__(self, backend: AsyncBackend, name: str = "", **attributes: Any) -> None:
        self._backend = backend
        self.name = name
        self.attributes = attributes
        self.calls: list[tuple[Any, ...]] = []
        self.closing = False
        self.was_cut = False

    async def aclose(self) -> None:
        self.closing = True
        self.calls.append(("aclose",))
        try:
            if self.close_gate is not None:
                await self.close_gate.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.was_cut = True
            raise
        if self.close_error is not None:
            raise self.close_error

    def is_closing(self) -> bool:
        return self.closing

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Any:
        return {getattr(SocketAttribute, key): lambda value=value: value for key, value in self.attributes.items()}


class StreamReader(Part, AsyncStreamReadTransport):
    async def recv(self, bufsize: int) -> bytes:
        self.calls.append(("recv", bufsize))
        return b"bytes"

    async def recv_into(self, buffer: Any) -> int:
        self.calls.append(("recv_into", buffer))
        return 3

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return b"bytes", (bufsize, ancillary_bufsize)

    async def recv_with_ancillary_into(self, buffer: Any, ancillary_bufsize: int) -> tuple[int, Any]:
        return 3, (buffer, ancillary_bufsize)


class StreamWriter(Part, AsyncStreamWriteTransport):
    async def send_all(self, data: Any) -> None:
        self.calls.append(("send_all", data))

    async def send_all_from_iterable(self, iterable_of_data: Any) -> None:
        self.calls.append(("send_all_from_iterable", iterable_of_data))

    async def send_all_with_ancillary(self, iterable_of_data: Any, ancillary_data: Any) -> None:
        self.calls.append(("send_all_with_ancillary", iterable_of_data, ancillary_data))


class Stream(StreamReader, StreamWriter, AsyncStreamTransport):
    eof_error: Exception | None = None

    async def send_eof(self) -> None:
        self.calls.append(("send_eof",))
        if self.eof_error is not None:
            raise self.eof_error


class DatagramReader(Part, AsyncDatagramReadTransport):
    dropped_datagrams = 3

    async def recv(self) -> bytes:
        return b"datagram"

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return b"datagram", ancillary_bufsize


class DatagramWriter(Part, AsyncDatagramWriteTransport):
    async def send(self, data: Any) -> None:
        self.calls.append(("send", data))

    async def send_with_ancillary(self, data: Any, ancillary_data: Any) -> None:
        self.calls.append(("send_with_ancillary", data, ancillary_data))


Staple = Callable[..., Any]
KINDS = pytest.mark.parametrize(
    ("staple", "writer", "reader"),
    [
        pytest.param(AsyncStapledStreamTransport, StreamWriter, StreamReader, id="stream"),
        pytest.param(AsyncStapledDatagramTransport, DatagramWriter, DatagramReader, id="datagram"),
    ],
)


# --- both kinds


@KINDS
async def test_parts_of_different_backends_are_refused(staple: Staple, writer: Any, reader: Any) -> None:
    with pytest.raises(RuntimeError, match="same backend"):
        staple(writer(new_builtin_backend("asyncio")), reader(new_builtin_backend("asyncio")))


@KINDS
async def test_its_backend_is_that_of_the_parts(
    backend: AsyncBackend, staple: Staple, writer: Any, reader: Any
) -> None:
    assert staple(writer(backend), reader(backend)).backend() is backend


@KINDS
async def test_it_has_the_attributes_of_both_and_the_receiving_part_wins(
    backend: AsyncBackend, staple: Staple, writer: Any, reader: Any
) -> None:
    stapled = staple(writer(backend, sockname="ours", peername="theirs"), reader(backend, peername="the reader's"))
    assert stapled.extra(SocketAttribute.sockname) == "ours"
    assert stapled.extra(SocketAttribute.peername) == "the reader's"
    assert stapled.extra(SocketAttribute.family, None) is None


@KINDS
async def test_it_is_closing_once_both_parts_are(
    backend: AsyncBackend, staple: Staple, writer: Any, reader: Any
) -> None:
    stapled = staple(writer(backend), reader(backend))
    assert not stapled.is_closing()
    await stapled.send_transport.aclose()
    assert not stapled.is_closing()
    await stapled.receive_transport.aclose()
    assert stapled.is_closing()


@KINDS
async def test_closing_closes_both_parts_gracefully(
    backend: AsyncBackend, staple: Staple, writer: Any, reader: Any
) -> None:
    stapled = staple(writer(backend), reader(backend))
    async with stapled:
        pass
    for part in (stapled.send_transport, stapled.receive_transport):
        assert part.closing
        assert not part.was_cut


@KINDS
@pytest.mark.parametrize("error", [OSError(errno.EIO, "on purpose"), KeyboardInterrupt()], ids=["Exception", "other"])
async def test_the_receiving_part_is_closed_abruptly_if_closing_the_other_fails(
    backend: AsyncBackend, staple: Staple, writer: Any, reader: Any, error: BaseException
) -> None:
    stapled = staple(writer(backend), reader(backend))
    stapled.send_transport.close_error = error
    with pytest.raises(type(error)) as info:
        await stapled.aclose()
    assert info.value is error
    assert stapled.receive_transport.was_cut


@KINDS
async def test_both_parts_are_closed_if_closing_is_cancelled(
    backend: AsyncBackend, staple: Staple, writer: Any, reader: Any
) -> None:
    stapled = staple(writer(backend), reader(backend))
    stapled.send_transport.close_gate = asyncio.Event()
    task = asyncio.create_task(stapled.aclose())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stapled.send_transport.was_cut
    assert stapled.receive_transport.was_cut


@KINDS
async def test_it_can_be_closed_forcefully(backend: AsyncBackend, staple: Staple, writer: Any, reader: Any) -> None:
    stapled = staple(writer(backend), reader(backend))
    await aclose_forcefully(stapled)
    assert stapled.send_transport.was_cut
    assert stapled.receive_transport.was_cut


@KINDS
async def test_it_is_final_frozen_and_without_dict(
    backend: AsyncBackend, staple: Any, writer: Any, reader: Any
) -> None:
    stapled = staple(writer(backend), reader(backend))
    with pytest.raises(AttributeError):
        stapled.send_transport = writer(backend)
    with pytest.raises(TypeError):
        type("Derived", (staple,), {})
    assert not hasattr(stapled, "__dict__")


# --- streams


async def test_a_stream_receives_from_the_receiving_part(backend: AsyncBackend) -> None:
    stapled = AsyncStapledStreamTransport(StreamWriter(backend), StreamReader(backend))
    buffer = bytearray(3)
    assert await stapled.recv(10) == b"bytes"
    assert await stapled.recv_into(buffer) == 3
    assert stapled.receive_transport.calls == [("recv", 10), ("recv_into", buffer)]
    assert await stapled.recv_with_ancillary(10, 20) == (b"bytes", (10, 20))
    assert await stapled.recv_with_ancillary_into(buffer, 20) == (3, (buffer, 20))
    assert stapled.send_transport.calls == []


async def test_a_stream_sends_by_the_sending_part(backend: AsyncBackend) -> None:
    stapled = AsyncStapledStreamTransport(StreamWriter(backend), StreamReader(backend))
    await stapled.send_all(b"one")
    await stapled.send_all_from_iterable([b"two"])
    await stapled.send_all_with_ancillary([b"three"], [(1, 2, b"")])
    assert stapled.send_transport.calls == [
        ("send_all", b"one"),
        ("send_all_from_iterable", [b"two"]),
        ("send_all_with_ancillary", [b"three"], [(1, 2, b"")]),
    ]
    assert stapled.receive_transport.calls == []


async def test_a_full_stream_half_closes_itself(backend: AsyncBackend) -> None:
    stapled = AsyncStapledStreamTransport(Stream(backend), Stream(backend))
    await stapled.send_eof()
    assert stapled.send_transport.calls == [("send_eof",)]
    assert stapled.receive_transport.calls == []


@pytest.mark.parametrize("error", [UnsupportedOperation("on purpose"), NotImplementedError()], ids=repr)
async def test_a_sending_part_that_cannot_half_close_is_closed(backend: AsyncBackend, error: Exception) -> None:
    stapled = AsyncStapledStreamTransport(Stream(backend), Stream(backend))
    stapled.send_transport.eof_error = error
    await stapled.send_eof()
    assert stapled.send_transport.closing
    assert not stapled.receive_transport.closing
    assert not stapled.is_closing()


async def test_a_write_only_part_is_closed_instead_of_half_closed(backend: AsyncBackend) -> None:
    stapled = AsyncStapledStreamTransport(StreamWriter(backend), StreamReader(backend))
    await stapled.send_eof()
    assert stapled.send_transport.closing
    assert not stapled.receive_transport.closing


async def test_other_errors_of_half_closing_propagate(backend: AsyncBackend) -> None:
    stapled = AsyncStapledStreamTransport(Stream(backend), StreamReader(backend))
    stapled.send_transport.eof_error = ConnectionResetError("on purpose")
    with pytest.raises(ConnectionResetError):
        await stapled.send_eof()
    assert not stapled.send_transport.closing


# --- datagrams


async def test_drops_are_those_of_the_receiving_part(backend: AsyncBackend) -> None:
    assert AsyncStapledDatagramTransport(DatagramWriter(backend), DatagramReader(backend)).dropped_datagrams == 3


async def test_datagrams_take_their_two_ways(backend: AsyncBackend) -> None:
    stapled = AsyncStapledDatagramTransport(DatagramWriter(backend), DatagramReader(backend))
    assert await stapled.recv() == b"datagram"
    assert await stapled.recv_with_ancillary(20) == (b"datagram", 20)
    await stapled.send(b"one")
    await stapled.send_with_ancillary(b"two", [(1, 2, b"")])
    assert stapled.send_transport.calls == [("send", b"one"), ("send_with_ancillary", b"two", [(1, 2, b"")])]


# --- packets over a pair of real connections

StapledConnections = AsyncStapledStreamTransport[AsyncStreamTransport, AsyncStreamTransport]


class ReadOnly(StreamReader):
    """A reading transport that knows no short way: bytes are pulled out of it."""

    def __init__(self, transport: AsyncStreamTransport) -> None:
        super().__init__(transport.backend())
        self._transport = transport

    async def recv(self, bufsize: int) -> bytes:
        return await self._transport.recv(bufsize)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    async def aclose(self) -> None:
        await self._transport.aclose()


class Wires:
    """A stapled pair of connections, and the other ends: `out` gets what is sent, `into` feeds what is received."""

    def __init__(self, transport: StapledConnections, out: socket.socket, into: socket.socket) -> None:
        self.transport = transport
        self.out = Peer(out)
        self.into = Peer(into)


@contextlib.asynccontextmanager
async def wires(backend: AsyncBackend) -> AsyncIterator[Wires]:
    pairs = [socket.socketpair(), socket.socketpair()]
    with contextlib.ExitStack() as stack:
        for _, theirs in pairs:
            stack.enter_context(theirs)
        sending, receiving = [await backend.wrap_stream_socket(ours) for ours, _ in pairs]
        async with AsyncStapledStreamTransport(sending, receiving) as transport:
            yield Wires(transport, *(theirs for _, theirs in pairs))


async def test_an_endpoint_works_over_a_stapled_pair(backend: AsyncBackend) -> None:
    async with wires(backend) as pair:
        endpoint: AsyncStreamEndpoint[str, str] = AsyncStreamEndpoint(pair.transport, LINES, 1024)
        await pair.into.send(b"one\ntwo\n")
        assert [await endpoint.recv_packet(), await endpoint.recv_packet()] == ["one", "two"]
        await endpoint.send_packet("three")
        await endpoint.send_eof()
        assert await pair.out.rest() == b"three\n"
        await pair.into.send(b"four\n")
        assert await endpoint.recv_packet() == "four"


class OneConnection(AsyncListener[AsyncStreamTransport]):
    """Accepts one connection, and tells its end by ending ``serve()``."""

    def __init__(self, transport: AsyncStreamTransport) -> None:
        self._transport = transport

    async def serve(
        self,
        handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        await handler(self._transport)
        raise OSError(errno.EBADF, "no more connections")

    async def aclose(self) -> None:
        await self._transport.aclose()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def backend(self) -> AsyncBackend:
        return self._transport.backend()


async def upper(client: ConnectedStreamClient[str]) -> Any:
    params: RecvParams | None = None
    while True:
        request: str = yield params
        if request == "bye":
            await client.aclose()
        await client.send_packet(request.upper())


@contextlib.asynccontextmanager
async def served(transport: AsyncStreamTransport) -> AsyncIterator[None]:
    async with AsyncStreamServer(OneConnection(transport), LINES, 1024) as server:
        task = asyncio.create_task(server.serve(upper))
        try:
            async with asyncio.timeout(PATIENCE):
                yield
                with pytest.raises(OSError, match="no more connections"):
                    await task
        finally:
            task.cancel()


@pytest.mark.parametrize("is_full", [True, False], ids=["full", "read-only"])
async def test_a_server_answers_over_a_stapled_pair(backend: AsyncBackend, is_full: bool) -> None:
    async with wires(backend) as pair:
        parts = pair.transport
        receiver = parts.receive_transport if is_full else ReadOnly(parts.receive_transport)
        async with served(AsyncStapledStreamTransport(parts.send_transport, receiver)):
            await pair.into.send(b"one\ntwo\n")
            assert await pair.out.lines(2) == [b"ONE", b"TWO"]
            await pair.into.send(b"three\n")
            assert await pair.out.line() == b"THREE"
            pair.into.half_close()
            assert await pair.out.rest() == b""
        assert parts.is_closing()


@pytest.mark.parametrize("is_full", [True, False], ids=["full", "read-only"])
async def test_a_handler_closes_both_parts(backend: AsyncBackend, is_full: bool) -> None:
    async with wires(backend) as pair:
        parts = pair.transport
        receiver = parts.receive_transport if is_full else ReadOnly(parts.receive_transport)
        async with served(AsyncStapledStreamTransport(parts.send_transport, receiver)):
            await pair.into.send(b"bye\nunheard\n")
            assert await pair.out.rest() == b""
            assert await pair.into.gone()
        assert parts.is_closing()
