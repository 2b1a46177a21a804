"""How connections end: by the handler, by the peer, by the server; and what a peer that misbehaves can do."""

from __future__ import annotations

import errno
import logging
import types
from collections.abc import Generator
from unittest.mock import Mock

import pytest
from tests.support.background import Queue, new_event, sleep, spawn, until
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import turns_of_the_loop

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel.api_async.backend._asyncio.stream import transport as asyncio_stream
from easynetwork.lowlevel.api_async.backend._trio.stream import transport as trio_stream
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers import stream as stream_server
from easynetwork.lowlevel.api_async.servers.stream import ConnectionHandler, ServedClient
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import ISocket, SocketAttribute

EVERY_BACKEND = True

SERVER_LOGGER = "easynetwork.lowlevel.api_async.servers.stream"


# ---------------------------------------------------------------------------------------------------- by the handler


@pytest.mark.parametrize("is_suspended_before", [False, True])
async def test_exception_of_a_handler_is_logged_and_ends_this_connection_only(
    driver: str, is_suspended_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            if is_suspended_before:
                await ensure_backend(None).coro_yield()
            if request == "fail":
                raise LookupError("on purpose")
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        quiet, peer = await server.connect(), await server.connect()
        assert await quiet.ask(b"a") == b"a"
        await peer.send(b"fail\nnever\n")
        assert await peer.gone()
        assert await quiet.ask(b"b") == b"b"
        assert await (await server.connect()).ask(b"c") == b"c"
    [record] = caplog.records
    assert (record.name, record.levelno) == (SERVER_LOGGER, logging.ERROR)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_exception_before_the_first_yield_is_logged(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(client: Client) -> Requests:
        if client.is_closing():
            yield None
        raise LookupError("on purpose")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.gone()
    [record] = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


async def test_handler_that_returns_has_its_answers_sent_before_the_end(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        await client.send_packet(request)
        await client.send_packet("x" * 200_000)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        assert await peer.rest() == b"a\n" + b"x" * 200_000 + b"\n"


async def test_handler_that_returns_before_its_first_yield_closes_the_connection(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        if client.is_closing():
            yield None

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.gone()


async def test_handler_is_finalised_in_its_task_before_the_transport_is_closed(driver: str) -> None:
    seen: list[tuple[bool, bool]] = []

    async def handler(client: Client) -> Requests:
        task = ensure_backend(None).get_current_task()
        try:
            while True:
                request = yield None
                await client.send_packet(request)
        finally:
            await sleep(0.001)
            seen.append((ensure_backend(None).get_current_task() == task, client.is_closing()))
            await client.send_packet("bye")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        peer.half_close()
        assert await peer.rest() == b"bye\n"
    assert seen == [(True, False)]


async def test_handler_that_ignores_its_end_is_logged(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(client: Client) -> Requests:
        try:
            yield None
        finally:
            yield None

    async with serving(handler, driver) as server:
        peer = await server.connect()
        peer.half_close()
        assert await peer.gone()
    [record] = caplog.records
    assert "ignored GeneratorExit" in str(record.exc_info and record.exc_info[1])


@pytest.mark.parametrize("is_forceful", [False, True])
@pytest.mark.parametrize("is_busy_first", [False, True])
async def test_handler_that_closes_its_client_gets_no_further_request(
    driver: str, is_forceful: bool, is_busy_first: bool
) -> None:
    """Neither one of the same burst, nor one that came while the handler was busy."""
    requests: list[str] = []
    ended: list[type[BaseException]] = []
    go_on = new_event()

    async def handler(client: Client) -> Requests:
        try:
            requests.append((yield None))
            await client.send_packet("closing")
            if is_busy_first:
                await go_on.wait()
            if is_forceful:
                await aclose_forcefully(client)
            else:
                await client.aclose()
            while True:
                requests.append((yield None))
        except BaseException as exc:
            ended.append(type(exc))
            raise

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\nc\n")
        assert await peer.line() == b"closing"
        await peer.send(b"d\ne\n")
        await sleep(0.01)
        go_on.set()
        assert await peer.gone()
        await until(lambda: ended)
    assert requests == ["a"]
    assert ended == [GeneratorExit]


async def test_handler_that_closes_its_client_at_the_beginning_gets_no_request_that_was_there_before(
    driver: str,
) -> None:
    requests: list[str] = []
    ended = new_event()

    async def handler(client: Client) -> Requests:
        try:
            await client.aclose()
            requests.append((yield None))
        finally:
            ended.set()

    async with serving(handler, driver) as server:
        peer = server.connect_and_send(b"a\nb\n")
        assert await peer.gone()
        await ended.wait()
    assert requests == []


async def test_client_closed_by_another_task_ends_a_waiting_handler() -> None:
    clients: list[Client] = []
    ended: list[type[BaseException]] = []

    async def handler(client: Client) -> Requests:
        clients.append(client)
        try:
            while True:
                request = yield None
                await client.send_packet(request)
        except BaseException as exc:
            ended.append(type(exc))
            raise

    async with serving(handler) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        await clients[0].aclose()
        assert await peer.rest() == b""
        await turns_of_the_loop(3)
    assert ended == [GeneratorExit]


# ------------------------------------------------------------------------------------------------------- by the peer


async def test_end_of_stream_closes_the_generator_and_raises_nothing(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[type[BaseException]] = []

    async def handler(client: Client) -> Requests:
        try:
            while True:
                request = yield None
                await client.send_packet(request)
        except BaseException as exc:
            ended.append(type(exc))
            raise

    async with serving(handler, driver) as server:
        in_a_frame, between_frames = await server.connect(), await server.connect()
        await in_a_frame.send(b"a\nhalf a fra")
        await between_frames.send(b"b\n")
        in_a_frame.half_close()
        between_frames.half_close()
        assert await in_a_frame.rest() == b"a\n"
        assert await between_frames.rest() == b"b\n"
    assert ended == [GeneratorExit, GeneratorExit]
    assert caplog.records == []


async def test_peer_that_half_closes_gets_all_answers_of_what_it_has_sent(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            await client.send_packet(request * 1024)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"abc\n" * 1024)  # 3 MiB of answers
        peer.half_close()
        assert await peer.rest() == (b"abc" * 1024 + b"\n") * 1024


async def test_peer_that_half_closes_gets_one_large_answer_whole(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        await client.send_packet(request * (1 << 20))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"abc\n")
        peer.half_close()
        assert await peer.rest() == b"abc" * (1 << 20) + b"\n"


async def test_half_close_while_the_handler_is_busy_comes_after_the_requests(driver: str) -> None:
    go_on = new_event()

    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            await go_on.wait()
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        await sleep(0.01)
        await peer.send(b"b\nc\n")
        peer.half_close()
        await sleep(0.01)
        go_on.set()
        assert await peer.rest() == b"a\nb\nc\n"


@pytest.mark.parametrize("is_filtered", [True, False])
async def test_reset_is_raised_at_the_yield_unless_it_is_filtered(
    driver: str, is_filtered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ended: Queue[type[BaseException]] = Queue()

    async def handler(client: Client) -> Requests:
        try:
            while True:
                request = yield None
                await client.send_packet(request)
        except BaseException as exc:
            ended.put_nowait(type(exc))
            raise

    def is_disconnection(exc: Exception) -> bool:
        return is_filtered and isinstance(exc, ConnectionResetError)

    async with serving(handler, driver, disconnect_error_filter=is_disconnection) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        peer.reset()
        assert await ended.get() is (GeneratorExit if is_filtered else ConnectionResetError)
        await sleep(0.01)
    assert len(caplog.records) == (0 if is_filtered else 1)


async def test_reset_while_a_handler_sends_is_raised_by_send_packet(driver: str) -> None:
    ended: Queue[BaseException] = Queue()

    async def handler(client: Client) -> Requests:
        _ = yield None
        try:
            while True:
                await client.send_packet("x" * 100_000)
        except OSError as exc:
            ended.put_nowait(exc)

    async with serving(handler, driver) as server:
        peer = await server.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        assert (await peer.line())[:5] == b"xxxxx"
        peer.reset()
        assert isinstance(await ended.get(), ConnectionError)


async def test_peer_that_never_reads_suspends_send_packet_and_is_given_up_at_the_deadline_of_the_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (asyncio_stream, trio_stream):
        monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.1)
    sockets: list[ISocket] = []
    sent = 0

    async def handler(client: Client) -> Requests:
        nonlocal sent
        sockets.append(client.extra(SocketAttribute.socket))
        _ = yield None
        try:
            with ensure_backend(None).timeout(0.1):
                while sent < 2000:
                    await client.send_packet("x" * 10_000)
                    sent += 1
        except TimeoutError:
            pass

    async with serving(handler) as server:
        peer = await server.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        await until(lambda: sockets and sockets[0].fileno() == -1)
        assert sent < 2000
        with pytest.raises(ConnectionResetError):  # what was not sent is lost, and the peer must know
            await peer.rest()


async def test_cancelled_close_is_abrupt() -> None:
    closed: Queue[bool] = Queue()

    async def handler(client: Client) -> Requests:
        _ = yield None
        try:
            with ensure_backend(None).timeout(0.05):
                while True:
                    await client.send_packet("x" * 100_000)
        except TimeoutError:
            await aclose_forcefully(client)
            closed.put_nowait(client.is_closing())

    async with serving(handler) as server:
        peer = await server.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        assert await closed.get()
        with pytest.raises(ConnectionResetError):  # what was not sent by then is lost
            await peer.rest()


# ------------------------------------------------------------------------------------------------------ by the server


async def test_cancelling_serve_cancels_all_handlers_and_waits_for_them(driver: str) -> None:
    ended: list[str] = []

    async def handler(client: Client) -> Requests:
        request = ""
        try:
            while True:
                request = yield None
                await client.send_packet(request)
                if request == "wait":
                    await sleep(60)
        except client.backend().get_cancelled_exc_class():
            await client.backend().ignore_cancellation(sleep(0.001))
            ended.append(request)
            raise

    async with serving(handler, driver) as server:
        parked, waiting = await server.connect(), await server.connect()
        assert await parked.ask(b"park") == b"park"
        assert await waiting.ask(b"wait") == b"wait"
    assert sorted(ended) == ["park", "wait"]


@pytest.mark.parametrize("turns", range(6))
async def test_connection_that_comes_while_the_server_is_stopped_is_closed_without_a_warning(turns: int) -> None:
    async def handler(client: Client) -> Requests:
        _ = yield None

    async with serving(handler) as server:
        peers = [await server.connect() for _ in range(3)]
        await turns_of_the_loop(turns)
    assert all(peer.sock.fileno() < 0 for peer in peers)


# ------------------------------------------------------------------------------------------------------------ sending


async def test_send_packet_after_close_raises_oserror(driver: str) -> None:
    errors: list[OSError] = []

    async def handler(client: Client) -> Requests:
        _ = yield None
        await client.aclose()
        assert client.is_closing()
        await client.aclose()
        try:
            await client.send_packet("late")
        except OSError as exc:
            errors.append(exc)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        assert await peer.rest() == b""
        await turns_of_the_loop(3)
    assert [exc.errno for exc in errors] == [errno.EBADF]


async def test_serializer_crash_while_sending_is_a_runtime_error_and_the_connection_goes_on(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            try:
                await client.send_packet("\N{SNOWMAN}" if request == "crash" else request)
            except RuntimeError as exc:
                await client.send_packet(type(exc.__cause__).__name__)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\ncrash\nb\n")
        assert await peer.lines(3) == [b"a", b"UnicodeEncodeError", b"b"]


async def test_second_task_that_sends_while_the_first_waits_is_refused(driver: str) -> None:
    refused: Queue[list[str]] = Queue()

    async def fill(client: Client) -> None:
        while True:
            await client.send_packet("x" * 100_000)

    async def handler(client: Client) -> Requests:
        names: list[str] = []
        _ = yield None
        filling = spawn(fill(client))
        await sleep(0.05)
        for attempt in (client.send_packet("b"), client.aclose()):
            try:
                await attempt
            except BusyResourceError:
                names.append("busy")
        filling.cancel()
        await filling.wait()
        refused.put_nowait(names)
        await aclose_forcefully(client)

    async with serving(handler, driver) as server:
        peer = await server.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        assert await refused.get() == ["busy", "busy"]


# ------------------------------------------------------------------------------------- by the end of the event loop


def test_closing_the_coroutine_of_a_connection_reports_and_awaits_nothing() -> None:
    """A program that drops a loop with unfinished tasks closes their coroutines, without a loop."""
    events: list[object] = []

    class Waiting(ConnectionHandler):
        @types.coroutine
        def handle_connection(self, client: object, /) -> Generator[None, None, None]:
            yield

        def connection_is_over(self, client: object, /) -> None:
            events.append("over")

        def report(self, client: object, fault: BaseException, /) -> None:
            events.append(fault)

    client = Mock(spec=ServedClient, _transport=Mock(spec=AsyncStreamTransport))
    connection = stream_server._handle_connection(Waiting(), client)
    connection.send(None)
    connection.close()
    assert events == ["over"]
    assert client._transport.mock_calls == []
