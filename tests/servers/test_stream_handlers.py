"""What a stream handler is promised, from the first to the last moment of a connection."""

from __future__ import annotations

import itertools
import logging
import socket
import weakref
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.support.background import Running, results, settle, sleep, spawn, spawn_in_order, until
from tests.support.peers import PATIENCE, turns_of_the_loop
from tests.support.stream_servers import Client, Handler, Requests, serving

from easynetwork.exceptions import ClientClosedError, StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAttribute, SocketProxy
from easynetwork.servers.handlers import INETClientAttribute

EVERY_BACKEND = True


class Observer(Handler):
    """Notes what ``is_closing()`` says at the end, and whether sending is possible then."""

    async def on_disconnection(self, client: Client, /) -> None:
        self.diary.append(f"disconnected, closing: {client.is_closing()}")
        try:
            await client.send_packet("bye")
        except ClientClosedError:
            self.diary.append("refused")
        except ConnectionError:
            pass


# ------------------------------------------------------------------------------------------------------ on_connection


async def test_hooks_are_called_around_any_number_of_generators() -> None:
    class Diarist(Handler):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append("start")
            try:
                await client.send_packet((yield None))
            finally:
                self.diary.append("end")

    handler = Diarist()
    async with serving(handler) as it:
        peer = await it.connect()
        assert [await peer.ask(text) for text in (b"a", b"b")] == [b"a", b"b"]
        peer.close()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", *("start", "end") * 3, "disconnected"]


async def test_greeting_is_sent_before_anything_is_received() -> None:
    class Greeting(Handler):
        async def on_connection(self, client: Client, /) -> None:
            await client.send_packet("hello")

    async with serving(Greeting()) as it:
        peer = await it.connect()
        assert await peer.line() == b"hello"
        assert await peer.ask(b"a") == b"a"


async def test_on_connection_may_ask_for_requests() -> None:
    class Login(Handler):
        def on_connection(self, client: Client, /) -> AsyncGenerator[Any, str]:  # type: ignore[override] # a generator
            return self.login(client)

        async def login(self, client: Client) -> Requests:
            name = yield None
            password = yield None
            await client.send_packet(f"welcome {name}:{password}")

    handler = Login()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"me\nsecret\nrequest\n")
        assert await peer.lines(2) == [b"welcome me:secret", b"request"]
        peer.close()
        await until(lambda: handler.diary == ["disconnected"])


async def test_all_that_comes_before_the_handler_is_ready_waits_in_its_order() -> None:
    class Slow(Handler):
        ready = False

        async def on_connection(self, client: Client, /) -> None:
            await until(lambda: self.ready)
            self.diary.append("connected")

    handler = Slow()
    async with serving(handler) as it:
        peer = await it.connect()
        for piece in (b"a\nb\nc", b"d\n", b"e", b"\n", b"f\n"):  # each in a callback of its own
            await peer.send(piece)
            await sleep(0.01)
        peer.half_close()
        await sleep(0.01)
        handler.ready = True
        assert await peer.rest() == b"a\nb\ncd\ne\nf\n"
        await until(lambda: handler.diary == ["connected", "disconnected"])


async def test_on_connection_may_return_before_its_first_yield() -> None:
    class Silent(Handler):
        async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
            self.diary.append("connected")
            if client.is_closing():
                yield None

    handler = Silent()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
    assert handler.diary == ["connected", "disconnected"]


@pytest.mark.parametrize("yields_first", [False, True])
async def test_failure_of_on_connection_ends_the_connection_and_nothing_else_is_called(
    yields_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Handler):
        async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
            if yields_first:
                yield None
            raise LookupError("on purpose")

        async def handle(self, client: Client, /) -> Requests:
            self.diary.append("handled")
            yield None

    handler = Failing()
    async with serving(handler) as it:
        for _ in range(2):
            peer = await it.connect()
            if yields_first:
                await peer.send(b"a\n")
            assert await peer.gone()
    assert handler.diary == []
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [LookupError] * 2


async def test_peer_that_leaves_during_the_login_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    class Login(Handler):
        async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
            try:
                yield None
            except GeneratorExit:
                self.diary.append("left")
                raise

    handler = Login()
    caplog.set_level(logging.INFO)
    async with serving(handler) as it:
        peer = await it.connect()
        peer.close()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
    assert handler.diary == ["left"]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


async def test_closing_in_on_connection_skips_the_handler() -> None:
    class Closing(Observer):
        async def on_connection(self, client: Client, /) -> None:
            await client.send_packet("no")
            await client.aclose()

        async def handle(self, client: Client, /) -> Requests:
            self.diary.append("handled")
            yield None

    handler = Closing()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.rest() == b"no\n"
        await until(lambda: "refused" in handler.diary)
    assert handler.diary == ["disconnected, closing: True", "refused"]


async def test_closing_in_a_generator_on_connection_skips_the_handler() -> None:
    class Closing(Observer):
        async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
            await client.send_packet((yield None))
            await client.aclose()

        async def handle(self, client: Client, /) -> Requests:
            self.diary.append("handled")
            yield None

    handler = Closing()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\n")
        assert await peer.rest() == b"a\n"
        await until(lambda: "refused" in handler.diary)
    assert handler.diary == ["disconnected, closing: True", "refused"]


# ------------------------------------------------------------------------------------------------------------- handle


async def test_generator_that_returns_before_its_first_yield_drops_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Returning(Observer):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append("handled")
            if client.is_closing():
                yield None

    handler = Returning()
    caplog.set_level(logging.WARNING)
    async with serving(handler) as it:
        assert await (await it.connect()).gone()
    assert handler.diary == ["connected", "handled", "disconnected, closing: True", "refused"]
    assert caplog.records == []


async def test_exception_ends_this_connection_only_and_the_client_can_be_told(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Observer):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            if request == "fail":
                raise LookupError("on purpose")
            await client.send_packet(request)

    handler = Failing()
    async with serving(handler) as it:
        quiet, peer = await it.connect(), await it.connect()
        assert await quiet.ask(b"a") == b"a"
        await peer.send(b"fail\nnever\n")
        assert await peer.gone()
        assert handler.diary == ["connected", "connected", "disconnected, closing: False"]
        assert await quiet.ask(b"b") == b"b"
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [LookupError]


async def test_invalid_bytes_are_an_exception_at_the_yield_and_the_next_request_is_read() -> None:
    class Answering(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                request = yield None
            except StreamProtocolParseError:
                request = "invalid"
            await client.send_packet(request)

    async with serving(Answering()) as it:
        peer = await it.connect()
        await peer.send(b"a\n\xff\nb\n\xff\nc\n")
        assert await peer.lines(5) == [b"a", b"invalid", b"b", b"invalid", b"c"]


async def test_time_limit_of_a_yield_is_an_exception_there() -> None:
    class Limited(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                request = yield 0.01
            except TimeoutError:
                request = "too late"
            await client.send_packet(request)
            await client.send_packet((yield None))

    async with serving(Limited()) as it:
        peer = await it.connect()
        assert await peer.line() == b"too late"
        assert await peer.ask(b"a") == b"a"


async def test_scope_around_a_yield_limits_it() -> None:
    class Limited(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with client.backend().move_on_after(0.01):
                yield None
            await client.send_packet("too late")
            with client.backend().timeout(PATIENCE):
                request = yield None
            await client.send_packet(request)
            while True:
                await client.send_packet((yield None))

    async with serving(Limited()) as it:
        peer = await it.connect()
        assert await peer.line() == b"too late"
        assert await peer.ask(b"a") == b"a"
        assert await peer.ask(b"b") == b"b"


async def test_ancillary_data_is_refused_at_the_yield() -> None:
    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(lambda data: None))
            except UnsupportedOperation:
                await client.send_packet("unsupported")
                request = yield None
            await client.send_packet(request)
            await client.aclose()

    async with serving(Asking()) as it:
        peer = await it.connect()
        assert await peer.line() == b"unsupported"
        await peer.send(b"a\n")
        assert await peer.rest() == b"a\n"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_peer_that_leaves_closes_the_generator_and_raises_nothing_in_it(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Watching(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                while True:
                    await client.send_packet((yield None))
            except BaseException as exc:
                self.diary.append(type(exc).__name__)
                raise

    handler = Watching()
    caplog.set_level(logging.WARNING)
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        getattr(peer, how)()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "GeneratorExit", "disconnected"]
    assert caplog.records == []


async def test_yield_after_closing_closes_the_generator_and_pending_requests_are_dropped() -> None:
    class Closing(Observer):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            await client.aclose()
            try:
                self.diary.append((yield None))
            except GeneratorExit:
                self.diary.append("exit")
                raise

    handler = Closing()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\nc\n")
        assert await peer.gone()
        await until(lambda: "refused" in handler.diary)
    assert handler.diary == ["connected", "a", "exit", "disconnected, closing: True", "refused"]


async def test_client_closed_by_another_task_ends_the_handler_that_waits() -> None:
    handler = Observer()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await handler.client.aclose()
        assert await peer.rest() == b""
        await until(lambda: "refused" in handler.diary)
    assert handler.diary == ["connected", "disconnected, closing: True", "refused"]


# --------------------------------------------------------------------------------------------------- on_disconnection


async def test_shutdown_calls_on_disconnection_once_with_an_open_client() -> None:
    class Cancelled(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                while True:
                    await client.send_packet((yield None))
            except client.backend().get_cancelled_exc_class():
                self.diary.append("cancelled")
                raise

        async def on_disconnection(self, client: Client, /) -> None:
            self.diary.append(f"disconnected, closing: {client.is_closing()}")

    handler = Cancelled()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await it.server.shutdown()
        assert handler.diary == ["connected", "cancelled", "disconnected, closing: False"]
        assert await peer.gone()
    assert handler.client.is_closing()


async def test_last_words_reach_a_peer_that_only_stopped_sending() -> None:
    async with serving(Observer()) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        peer.half_close()
        assert await peer.rest() == b"bye\n"


async def test_half_closed_peer_gets_every_answer_whole() -> None:
    class Long(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await client.send_packet(request * 1_000_000)

    async with serving(Long()) as it:
        peer = await it.connect(receive_buffer=8192)
        await peer.send(b"a\nb\nc\n")
        peer.half_close()
        await sleep(0.05)
        assert await peer.rest() == b"".join(letter * 1_000_000 + b"\n" for letter in (b"a", b"b", b"c"))


async def test_half_closed_peer_gets_what_another_task_is_sending() -> None:
    class Forwarding(Handler):
        task: Running[None]

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            self.task = spawn(client.send_packet(request * 3_000_000))
            await settle()

    async with serving(Forwarding()) as it:
        peer = await it.connect(receive_buffer=8192)
        await peer.send(b"a\n")
        peer.half_close()
        await sleep(0.05)
        assert await peer.rest() == b"a" * 3_000_000 + b"\n"


# --------------------------------------------------------------------------------------------------------- the client


async def test_packets_of_many_tasks_leave_in_the_order_of_the_calls() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=8192)
        assert await peer.ask(b"a") == b"a"
        calls = itertools.count()

        async def send_some(pauses: int) -> None:
            for size in range(40):
                await turns_of_the_loop(pauses + size % 3)
                await handler.client.send_packet(f"{next(calls)}:" + "x" * (100_000 if size % 10 == pauses else 50))

        tasks = [spawn(send_some(pauses)) for pauses in range(8)]
        received = []
        for number in range(8 * 40):
            received.append(int((await peer.line()).partition(b":")[0]))
            if number % 20 == 0:
                await sleep(0.005)
        await results(*tasks)
    assert received == list(range(8 * 40))


async def test_kept_client_refuses_after_the_end_and_still_knows_its_addresses() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        ours, theirs = peer.sock.getsockname(), peer.sock.getpeername()
        peer.close()
        await until(lambda: handler.client.is_closing())
        await turns_of_the_loop(5)
        with pytest.raises(ClientClosedError):
            await handler.client.send_packet("x")
        assert handler.client.extra(INETClientAttribute.remote_address) == ours
        assert handler.client.extra(INETClientAttribute.local_address) == theirs
        await handler.client.aclose()
    with pytest.raises(ClientClosedError):
        await handler.client.send_packet("x")


async def test_client_knows_its_socket_its_addresses_and_its_backend() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        client = handler.client
        sock = client.extra(INETClientAttribute.socket)
        assert isinstance(sock, SocketProxy)
        assert sock.getpeername() == peer.sock.getsockname()
        assert client.extra(INETClientAttribute.remote_address) == peer.sock.getsockname()
        assert client.extra(INETClientAttribute.local_address) == peer.sock.getpeername()
        assert client.extra(SocketAttribute.family) == socket.AF_INET
        assert client.backend() is it.server.backend()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_all_hooks_get_the_same_client_which_can_be_kept_weakly_and_in_sets() -> None:
    class Keeping(Handler):
        def __init__(self) -> None:
            super().__init__()
            self.clients: list[Client] = []

        async def on_connection(self, client: Client, /) -> None:
            self.clients.append(client)

        async def handle(self, client: Client, /) -> Requests:
            self.clients.append(client)
            await client.send_packet((yield None))

        async def on_disconnection(self, client: Client, /) -> None:
            self.clients.append(client)

    handler = Keeping()
    async with serving(handler) as it:
        first, second = await it.connect(), await it.connect()
        assert await first.ask(b"a") == b"a"
        assert await second.ask(b"a") == b"a"
    distinct = set(handler.clients)
    assert len(distinct) == 2
    assert len(handler.clients) == 2 * 4
    assert {weakref.ref(client)() for client in distinct} == distinct
    one, other = distinct
    assert one != other


async def test_ancillary_data_cannot_be_sent_over_tcp() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        with pytest.raises(UnsupportedOperation):
            await handler.client.send_packet_with_ancillary("x", [])
        assert await peer.ask(b"b") == b"b"


async def test_packet_that_cannot_be_encoded_leaves_the_connection_usable() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        with pytest.raises(RuntimeError) as caught:
            await handler.client.send_packet("\udc80")
        assert isinstance(caught.value.__cause__, UnicodeEncodeError)
        assert await peer.ask(b"b") == b"b"


async def test_sending_to_a_peer_that_has_reset_is_a_connection_error() -> None:
    class Pushing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            try:
                while True:
                    await client.send_packet("x" * 10_000)
            except ConnectionError as exc:
                self.diary.append("closed" if isinstance(exc, ClientClosedError) else "broken")
                assert not client.is_closing()
                raise

    handler = Pushing()
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=8192)
        await peer.send(b"go\n")
        await sleep(0.02)
        peer.reset()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "broken", "disconnected"]


async def test_closing_waits_for_the_packets_of_other_tasks() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=8192)
        assert await peer.ask(b"a") == b"a"
        sending = await spawn_in_order(*(handler.client.send_packet(text * 3_000_000) for text in "bc"))
        closing = [spawn(handler.client.aclose()) for _ in range(2)]
        await turns_of_the_loop(3)
        assert not any(task.done() for task in closing)
        assert await peer.rest() == b"b" * 3_000_000 + b"\n" + b"c" * 3_000_000 + b"\n"
        await results(*sending, *closing)
        assert handler.client.is_closing()


async def test_closing_that_is_cancelled_closes_abruptly() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=8192)
        assert await peer.ask(b"a") == b"a"
        sending = spawn(handler.client.send_packet("b" * 30_000_000))
        await turns_of_the_loop(3)
        closing = spawn(handler.client.aclose())
        await turns_of_the_loop(3)
        closing.cancel()
        await closing.wait()
        assert closing.cancelled()
        assert handler.client.is_closing()
        await sending.wait()
        with pytest.raises(ClientClosedError):
            await handler.client.send_packet("x")
        assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "disconnected"]
