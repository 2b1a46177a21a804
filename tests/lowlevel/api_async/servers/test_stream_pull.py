"""What only the pulling driver can show: transports that users write, in memory and with ancillary data."""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from tests.support.background import settle, spawn
from tests.support.lowlevel_stream_servers import Client, Handler, Requests
from tests.support.peers import PATIENCE

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


EVERY_BACKEND = True


class ScriptedTransport(AsyncStreamTransport):
    """Delivers chunks that were written down before, then the end of the stream; an exception is raised."""

    def __init__(self, script: list[bytes | Exception]) -> None:
        self._backend = ensure_backend(None)
        self.script = script
        self.sizes: list[int] = []
        self.sent: list[bytes] = []
        self.closed = False

    async def recv(self, bufsize: int) -> bytes:
        self.sizes.append(bufsize)
        if not self.script:
            return b""
        item = self.script.pop(0)
        if isinstance(item, Exception):
            raise item
        if len(item) > bufsize:
            self.script.insert(0, item[bufsize:])
        return item[:bufsize]

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        raise AssertionError("recv() was overridden")

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return await self.recv(bufsize), [(1, 2, b"%d" % ancillary_bufsize)]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "closed")
        self.sent.append(bytes(data))

    async def send_eof(self) -> None:
        raise AssertionError("nobody asks for it")

    def is_closing(self) -> bool:
        return self.closed

    async def aclose(self) -> None:
        self.closed = True

    def backend(self) -> AsyncBackend:
        return self._backend


class OneConnectionListener(AsyncListener[AsyncStreamTransport]):
    """Has one connection, and tells when it is over by ending ``serve()``."""

    def __init__(self, transport: ScriptedTransport) -> None:
        self._transport = transport
        self._closed = False

    async def serve(
        self,
        handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        await handler(self._transport)
        raise OSError(errno.EBADF, "no more connections")

    def is_closing(self) -> bool:
        return self._closed

    async def aclose(self) -> None:
        self._closed = True

    def backend(self) -> AsyncBackend:
        return self._transport.backend()


async def play(
    handler: Handler, *script: bytes | Exception, max_recv_size: int = 1024, **options: Any
) -> ScriptedTransport:
    """Serves one connection that receives *script*, and returns it once it is over."""
    transport = ScriptedTransport(list(script))
    async with AsyncStreamServer(
        OneConnectionListener(transport), StreamProtocol(StringLineSerializer()), max_recv_size
    ) as server:
        with pytest.raises(OSError, match="no more connections"):
            with ensure_backend(None).timeout(PATIENCE):
                await server.serve(handler, **options)
    assert transport.closed
    return transport


async def echo(client: Client) -> Requests:
    while True:
        request = yield None
        await client.send_packet(request)


async def test_transport_is_read_with_max_recv_size_and_only_while_requests_are_wanted() -> None:
    async def handler(client: Client) -> Requests:
        for _ in range(3):
            request = yield None
            await client.send_packet(request)

    transport = await play(handler, b"a\nb", b"c\nd\n", b"e\n", max_recv_size=7)
    assert transport.sent == [b"a\n", b"bc\n", b"d\n"]
    assert transport.sizes == [7, 7]
    assert transport.script == [b"e\n"]


async def test_packets_are_put_together_byte_by_byte() -> None:
    transport = await play(echo, b"abc\nd\ndef\n", max_recv_size=1)
    assert transport.sent == [b"abc\n", b"d\n", b"def\n"]


async def test_busy_transport_that_never_suspends_lets_others_run() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await settle()

    counting = spawn(count_turns())
    transport = await play(echo, *[b"a\n"] * 1000)
    counting.cancel()
    assert len(transport.sent) == 1000
    assert turns > 5


async def test_transport_that_never_suspends_with_one_byte_at_a_time_lets_others_run() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await settle()

    counting = spawn(count_turns())
    transport = await play(echo, b"a" * 20_000 + b"\n", max_recv_size=1)
    counting.cancel()
    assert transport.sent == [b"a" * 20_000 + b"\n"]
    assert turns > 5


async def test_error_of_the_transport_is_raised_at_the_yield_and_may_be_survived() -> None:
    async def handler(client: Client) -> Requests:
        while True:
            try:
                request = yield None
            except ConnectionResetError:
                request = "reset"
            await client.send_packet(request)

    transport = await play(handler, b"a\nb", ConnectionResetError(), b"c\n")
    assert transport.sent == [b"a\n", b"reset\n", b"bc\n"]


async def test_filtered_error_of_the_transport_is_the_end_of_the_stream() -> None:
    ended: list[type[BaseException]] = []

    async def handler(client: Client) -> Requests:
        try:
            while True:
                request = yield None
                await client.send_packet(request)
        except BaseException as exc:
            ended.append(type(exc))
            raise

    transport = await play(
        handler, b"a\n", ConnectionResetError(), b"c\n", disconnect_error_filter=lambda exc: isinstance(exc, OSError)
    )
    assert transport.sent == [b"a\n"]
    assert ended == [GeneratorExit]


async def test_timeout_raised_by_the_transport_itself_is_raised_at_the_yield() -> None:
    async def handler(client: Client) -> Requests:
        while True:
            try:
                request = yield 60
            except TimeoutError as exc:
                request = str(exc)
            await client.send_packet(request)

    transport = await play(handler, b"a\n", TimeoutError("from below"), b"c\n")
    assert transport.sent == [b"a\n", b"from below\n", b"c\n"]


# ---------------------------------------------------------------------------------------------------- ancillary data


def with_ancillary(callback: Callable[[Any], object]) -> RecvParams:
    return RecvParams(recv_with_ancillary=RecvAncillaryDataParams(callback))


async def test_ancillary_data_comes_before_its_request_and_not_again_for_buffered_ones() -> None:
    events: list[object] = []

    async def handler(client: Client) -> Requests:
        params = with_ancillary(events.append)
        while True:
            events.append((yield params))

    await play(handler, b"a\nb\n", b"c\n", ancillary_bufsize=100)
    ancillary_data = [(1, 2, b"100")]
    assert events == [ancillary_data, "a", "b", ancillary_data, "c"]


async def test_incomplete_request_with_ancillary_data_is_an_eoferror_and_its_bytes_are_kept() -> None:
    events: list[object] = []

    async def handler(client: Client) -> Requests:
        params = with_ancillary(lambda _: events.append("data"))
        while True:
            try:
                events.append((yield params))
            except EOFError:
                events.append("incomplete")

    await play(handler, b"a", b"b", b"c\nd", b"e\n", ancillary_bufsize=100)
    assert events == ["data", "incomplete", "data", "incomplete", "data", "abc", "data", "de"]


async def test_failing_callback_is_a_runtime_error_and_its_bytes_are_dropped() -> None:
    events: list[object] = []

    def fail(_: object) -> None:
        raise LookupError("on purpose")

    async def handler(client: Client) -> Requests:
        try:
            yield with_ancillary(fail)
        except RuntimeError as exc:
            events.append(type(exc.__cause__))
        while True:
            events.append((yield None))

    await play(handler, b"a\n", b"b\n", ancillary_bufsize=100)
    assert events == [LookupError, "b"]


async def test_end_of_stream_with_ancillary_data_calls_nobody() -> None:
    called: list[object] = []

    async def handler(client: Client) -> Requests:
        yield with_ancillary(called.append)

    await play(handler, ancillary_bufsize=100)
    assert called == []
