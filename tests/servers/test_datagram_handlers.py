"""What a datagram handler can count on, whatever the server."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import gc
import logging
import math
import random
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
import sniffio
from tests.support.background import Queue, until
from tests.support.datagram_servers import (
    Client,
    Handler,
    Recorder,
    Requests,
    Server,
    Serving,
    has_unix_datagrams,
    run,
)
from tests.support.lines import text_protocol
from tests.support.network_servers import problems

from easynetwork.exceptions import ClientClosedError, DatagramProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler

EVERY_BACKEND = True

TEXT = text_protocol()


class Serve(Protocol):
    """Serves a handler, by one kind of server."""

    def __call__(
        self, handler: AsyncDatagramRequestHandler[str, str], protocol: DatagramProtocol[str, str] = ...
    ) -> AbstractAsyncContextManager[Serving]: ...


@pytest.fixture(params=["udp", "unix"])
def serve(request: pytest.FixtureRequest, backend: AsyncBackend, tmp_path: Path) -> Serve:
    new_server: Callable[..., Server]
    if request.param == "udp":
        new_server = partial(AsyncUDPNetworkServer, "127.0.0.1", 0)
    elif has_unix_datagrams(backend):
        from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer

        new_server = partial(AsyncUnixDatagramServer, tmp_path / "socket")
    else:
        pytest.skip("this backend has no Unix datagram sockets")

    def serve(handler: Any, protocol: Any = TEXT) -> AbstractAsyncContextManager[Serving]:
        return run(new_server(protocol, handler, backend))

    return serve


def address_in_logs(address: Any) -> str:
    return address if isinstance(address, str) else str(tuple(address))


# ----------------------------------------------------------------------------------------------------------- requests


async def test_each_request_gets_its_answer(serve: Serve) -> None:
    async with serve(Handler()) as it:
        for peer in (it.peer(), it.peer()):
            for request in (b"a", b"b" * 1000, b""):
                assert await peer.ask(request) == request


async def test_requests_of_one_sender_are_handled_in_order_one_after_the_other(
    backend: AsyncBackend, serve: Serve
) -> None:
    busy = 0

    class Slow(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            nonlocal busy
            request = yield None
            busy += 1
            assert busy == 1
            await backend.sleep(0.001 if len(self.diary) % 3 else 0)
            self.diary.append(request)
            busy -= 1
            await client.send_packet(request)

    handler = Slow()
    sent = [f"{i}" for i in range(9)]
    async with serve(handler) as it:
        peer = it.peer()
        peer.send(*(text.encode() for text in sent))
        assert await peer.answers(len(sent)) == [text.encode() for text in sent]
    assert handler.diary == sent


async def test_senders_are_handled_at_the_same_time(backend: AsyncBackend, serve: Serve) -> None:
    """Each waits for the other."""

    class Meeting(Handler):
        present = 0

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            self.present += 1
            await until(lambda: self.present == 3)
            await client.send_packet(request)

    async with serve(Meeting()) as it:
        peers = [it.peer() for _ in range(3)]
        for peer in peers:
            peer.send(b"hello")
        assert [await peer.receive() for peer in peers] == [b"hello"] * 3


async def test_one_generator_may_have_many_requests_and_the_next_one_is_new(serve: Serve) -> None:
    class Pairs(Handler):
        async def handle(self, client: Client, /) -> Requests:
            first = yield None
            await client.send_packet(f"{first}{yield None}")

    async with serve(Pairs()) as it:
        peer, other = it.peer(), it.peer()
        peer.send(b"a", b"b", b"c")
        other.send(b"x")
        assert await peer.receive() == b"ab"
        assert await peer.ask(b"d") == b"cd"
        assert await other.ask(b"y") == b"xy"


async def test_generator_without_a_yield_discards_the_datagram_and_no_other(serve: Serve) -> None:
    class Picky(Handler):
        called = 0

        async def handle(self, client: Client, /) -> Requests:
            self.called += 1
            if self.called % 2:
                return
            await client.send_packet((yield None))

    async with serve(Picky()) as it:
        peer = it.peer()
        peer.send(b"\xff", b"a", b"\xff", b"b")
        assert await peer.answers(2) == [b"a", b"b"]
        assert not peer.has_received()


async def test_busy_sender_keeps_at_most_a_mebibyte_and_the_rest_is_counted_as_dropped(
    backend: AsyncBackend, serve: Serve
) -> None:
    go_on = backend.create_event()

    class Busy(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            await go_on.wait()

    handler = Busy()
    async with serve(handler) as it:
        server = it.server
        peer = it.peer()
        peer.send(b"first")
        await until(lambda: handler.diary)
        sent = 30
        for _ in range(sent):
            peer.send(b"x" * 60_000)
            await backend.sleep(0.0001)
        await until(lambda: server.dropped_datagrams == sent - 17)
        go_on.set()
        await until(lambda: len(handler.diary) == 1 + 17)
        assert server.dropped_datagrams == sent - 17
    assert server.dropped_datagrams == sent - 17  # closed


# -------------------------------------------------------------------------------------------------------------- yields


async def test_parse_error_is_raised_at_the_yield_and_may_be_answered(serve: Serve) -> None:
    class Polite(Handler):
        async def handle(self, client: Client, /) -> Requests:
            while True:
                try:
                    answer = yield None
                except DatagramProtocolParseError as exc:
                    answer = type(exc.error).__name__
                await client.send_packet(answer)

    async with serve(Polite()) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        assert await peer.ask(b"\xff") == b"DeserializeError"
        assert await peer.ask(b"b") == b"b"


async def test_crash_of_the_protocol_is_a_runtime_error_at_the_yield(serve: Serve) -> None:
    class Crashing(DatagramProtocol[str, str]):
        def build_packet_from_datagram(self, datagram: bytes) -> str:
            if datagram == b"crash":
                raise ZeroDivisionError
            return super().build_packet_from_datagram(datagram)

    class Polite(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                answer = yield None
            except RuntimeError as exc:
                answer = type(exc.__cause__).__name__
            await client.send_packet(answer)

    async with serve(Polite(), Crashing(StringLineSerializer())) as it:
        peer = it.peer()
        assert await peer.ask(b"crash") == b"ZeroDivisionError"
        assert await peer.ask(b"a") == b"a"


@pytest.mark.parametrize("wait", [0.01, RecvParams(timeout=0.01), 0])
async def test_time_to_wait_counts_for_what_is_not_there_yet(backend: AsyncBackend, serve: Serve, wait: Any) -> None:
    class Impatient(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield 0  # it is there
            try:
                yield wait
            except TimeoutError:
                await client.send_packet(f"{request}, and then nothing")
            await client.send_packet((yield math.inf))

    async with serve(Impatient()) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a, and then nothing"
        await backend.sleep(0.02)
        assert await peer.ask(b"b") == b"b"


async def test_time_of_zero_gives_what_has_come_already(backend: AsyncBackend, serve: Serve) -> None:
    class Collector(Handler):
        async def handle(self, client: Client, /) -> Requests:
            requests = [(yield None)]
            await go_on.wait()
            with contextlib.suppress(TimeoutError):
                while True:
                    requests.append((yield 0))
            await client.send_packet("".join(requests))

    go_on = backend.create_event()
    async with serve(Collector()) as it:
        peer = it.peer()
        peer.send(b"a", b"b", b"c")
        await backend.sleep(0.01)
        go_on.set()
        assert await peer.receive() == b"abc"


@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (math.nan, ValueError), ("x", TypeError), (RecvParams, TypeError)]
)
async def test_what_may_not_be_yielded_is_refused_there_and_loses_the_first_datagram_only(
    serve: Serve, value: Any, error: type[Exception]
) -> None:
    class Wrong(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with pytest.raises(error):
                yield value
            await client.send_packet((yield None))

    async with serve(Wrong()) as it:
        peer = it.peer()
        peer.send(b"a", b"b")
        assert await peer.receive() == b"b"


async def test_ancillary_data_that_was_not_asked_for_at_the_start_is_unsupported(serve: Serve) -> None:
    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with pytest.raises(UnsupportedOperation):
                yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(lambda _: None))
            await client.send_packet((yield None))

    async with serve(Asking()) as it:
        peer = it.peer()
        peer.send(b"a", b"b")
        assert await peer.receive() == b"b"


async def test_cancel_scopes_of_the_handler_work_around_a_yield(backend: AsyncBackend, serve: Serve) -> None:
    class Scoped(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with backend.timeout(10):
                request = yield None
            with backend.move_on_after(0.01) as scope:
                yield None
            assert scope.cancelled_caught()
            with pytest.raises(TimeoutError), backend.timeout(0.01):
                yield None
            await client.send_packet(request)
            await client.send_packet((yield None))

    async with serve(Scoped()) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        assert await peer.ask(b"b") == b"b"


# -------------------------------------------------------------------------------------------------------------- errors


class Failing(Handler):
    """Raises what it is given, if it is asked to."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def handle(self, client: Client, /) -> Requests:
        request = yield None
        if request == "fail":
            raise self.error
        await client.send_packet(request)


@pytest.mark.parametrize("error", [LookupError("on purpose"), ConnectionResetError(), ExceptionGroup("", [OSError()])])
async def test_error_is_one_record_that_says_whose(
    serve: Serve, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async with serve(Failing(error)) as it:
        peer = it.peer()
        peer.send(b"fail")
        assert await peer.ask(b"a") == b"a"
        [record] = problems(caplog.records)
        assert record.levelno == logging.ERROR
        assert record.name == it.server.logger.name
        assert record.getMessage().startswith(address_in_logs(peer.address))
        assert record.exc_info is not None
        assert record.exc_info[1] is error


async def test_invalid_packet_that_is_not_caught_is_one_line_without_a_traceback_and_the_next_datagram_is_handled(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Handler()) as it:
        peer = it.peer()
        peer.send(b"\xff")
        assert await peer.ask(b"a") == b"a"
        [record] = problems(caplog.records)
        assert record.levelno == logging.WARNING
        assert record.getMessage().startswith(address_in_logs(peer.address))
        assert "invalid packet" in record.getMessage()
        assert "\n" not in record.getMessage()
        assert record.exc_info is None


@pytest.mark.parametrize("is_group", [False, True])
async def test_use_of_a_closed_client_is_one_warning(
    serve: Serve, caplog: pytest.LogCaptureFixture, is_group: bool
) -> None:
    error: Exception = ClientClosedError("on purpose")
    if is_group:
        error = ExceptionGroup("", [ExceptionGroup("", [error])])
    async with serve(Failing(error)) as it:
        peer = it.peer()
        peer.send(b"fail")
        assert await peer.ask(b"a") == b"a"
        [warning] = problems(caplog.records)
        assert warning.levelno == logging.WARNING
        assert address_in_logs(peer.address) in warning.getMessage()
        assert warning.exc_info is not None
        assert warning.exc_info[1] is error


async def test_group_is_split_and_what_remains_is_one_group(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    lookup, reset = LookupError(), ConnectionResetError()
    async with serve(Failing(ExceptionGroup("", [lookup, ExceptionGroup("", [ClientClosedError(), reset])]))) as it:
        peer = it.peer()
        peer.send(b"fail")
        assert await peer.ask(b"a") == b"a"
    records = problems(caplog.records)
    assert [record.levelno for record in records] == [logging.WARNING, logging.ERROR]
    assert records[1].exc_info is not None
    rest = records[1].exc_info[1]
    assert isinstance(rest, ExceptionGroup)
    assert rest.exceptions[0] is lookup
    assert isinstance(rest.exceptions[1], ExceptionGroup)
    assert rest.exceptions[1].exceptions == (reset,)


async def test_error_before_the_first_yield_costs_one_datagram(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Early(Handler):
        failed = False

        async def handle(self, client: Client, /) -> Requests:
            if not self.failed:
                self.failed = True
                raise LookupError("on purpose")
            await client.send_packet((yield None))

    async with serve(Early()) as it:
        peer = it.peer()
        peer.send(b"lost")
        assert await peer.ask(b"a") == b"a"
    assert len(problems(caplog.records)) == 1


async def test_handler_that_is_no_generator_function_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(Handler):
        def handle(self, client: Client, /) -> Any:
            return super().handle(client) if problems(caplog.records) else 12

    async with serve(Wrong()) as it:
        peer = it.peer()
        peer.send(b"a")
        assert await peer.ask(b"b") == b"b"
    [record] = problems(caplog.records)
    assert record.exc_info is not None
    assert "must be an asynchronous generator function" in str(record.exc_info[1])
    assert "returned 12" in str(record.exc_info[1])


async def test_fatal_exception_is_not_logged_and_ends_the_serving(
    backend: AsyncBackend, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(Failing(BaseExceptionGroup("", [SystemExit()]))) as it:
        await it.server.shutdown()
        it.peer().send(b"fail")
        with pytest.raises(BaseExceptionGroup) as caught:
            await it.server.serve_forever()
        assert caught.value.subgroup(SystemExit) is not None
        assert not it.server.is_serving()
    assert problems(caplog.records) == []


# ------------------------------------------------------------------------------------------------------------- clients


async def test_client_is_the_same_object_while_somebody_keeps_it(serve: Serve) -> None:
    class Counting(Handler):
        def __init__(self) -> None:
            self.seen: weakref.WeakKeyDictionary[Client, int] = weakref.WeakKeyDictionary()
            self.kept: list[Client] = []

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            self.seen[client] = self.seen.get(client, 0) + 1
            if request == "keep":
                self.kept.append(client)
            await client.send_packet(f"{self.seen[client]}")

    handler = Counting()
    async with serve(handler) as it:
        peer, other = it.peer(), it.peer()
        assert await peer.ask(b"keep") == b"1"
        assert await other.ask(b"keep") == b"1"
        assert await peer.ask(b"keep") == b"2"
        first, second, third = handler.kept
        assert first is third
        assert first is not second
        assert first != second
        assert len({first, second, third}) == 2
        assert first.__eq__(first.extra(SocketAttribute.sockname)) is NotImplemented


async def test_client_that_nobody_keeps_is_forgotten(backend: AsyncBackend, serve: Serve) -> None:
    class Forgetful(Handler):
        def __init__(self) -> None:
            self.clients: list[weakref.ref[Client]] = []

        async def handle(self, client: Client, /) -> Requests:
            self.clients.append(weakref.ref(client))
            await client.send_packet((yield None))

    handler = Forgetful()
    async with serve(handler) as it:
        peer = it.peer()
        for _ in range(3):
            assert await peer.ask(b"a") == b"a"
            await until(lambda: not any(client() for client in handler.clients))


async def test_client_is_forgotten_when_nobody_keeps_it_any_more(serve: Serve) -> None:
    handler = Recorder()
    async with serve(handler) as it:
        peer = it.peer()
        for _ in range(3):
            assert await peer.ask(b"a") == b"a"
            await until(lambda: len(handler.diary) == len(handler.clients))
        [client] = {id(client): weakref.ref(client) for client in handler.clients}.values()
        await peer.ask(b"b")  # whatever the last generator has left behind is gone
        handler.clients.clear()
        gc.collect()
        await until(lambda: client() is None)


async def test_client_is_a_good_key_even_where_it_is_another_object(serve: Serve) -> None:
    handler = Recorder()
    async with serve(handler) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        kept = hash(handler.clients[0]), handler.clients[0]
        assert await peer.ask(b"b") == b"b"
        await it.server.shutdown()
        async with serve_again(it):
            assert await peer.ask(b"c") == b"c"
            assert handler.clients[2] == kept[1]
            assert hash(handler.clients[2]) == kept[0]


@contextlib.asynccontextmanager
async def serve_again(it: Serving) -> AsyncIterator[None]:
    backend = it.server.backend()
    async with backend.create_task_group() as tasks:
        tasks.start_soon(it.server.serve_forever)
        await until(it.server.is_serving)
        yield
        await it.server.shutdown()


async def test_any_task_may_send_at_any_time(backend: AsyncBackend, serve: Serve) -> None:
    clients: Queue[Client] = Queue(backend)

    class Introducing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            clients.put_nowait(client)

    async with serve(Introducing()) as it:
        peer = it.peer()
        peer.send(b"hello")
        client = await clients.get()
        assert client.backend() is backend
        async with backend.create_task_group() as tasks:
            for i in range(10):
                tasks.start_soon(client.send_packet, f"{i}")
        assert sorted(await peer.answers(10)) == [b"%d" % i for i in range(10)]


async def test_what_cannot_be_sent_is_told_and_the_client_is_still_good(serve: Serve) -> None:
    handler = Recorder()
    async with serve(handler) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        with pytest.raises(RuntimeError) as caught:
            await client.send_packet("\u20ac")
        assert isinstance(caught.value.__cause__, UnicodeEncodeError)
        with pytest.raises(OSError) as info:
            await client.send_packet("x" * 10_000_000)
        assert info.value.errno in (errno.EMSGSIZE, errno.ENOBUFS)
        assert not client.is_closing()
        await client.send_packet("b")
        assert await peer.receive() == b"b"


async def test_client_is_closed_whenever_the_service_is_not_available(serve: Serve) -> None:
    class Service(Recorder):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            self.note("init")
            exit_stack.callback(self.note, "exit")

        def note(self, what: str) -> None:
            for client in self.clients[:1]:
                self.diary.append(f"{what}: {client.is_closing()}")

        async def handle(self, client: Client, /) -> Requests:
            self.clients.append(client)
            await client.send_packet((yield None))
            try:
                yield None
            finally:
                self.note("end of the handler")

    handler = Service()
    async with serve(handler) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        client = handler.clients[0]
        handler.note("serving")
        await it.server.shutdown()
        handler.note("between")
        with pytest.raises(ClientClosedError):
            await client.send_packet("b")
        async with serve_again(it):
            handler.note("serving")
            await client.send_packet("c")
            assert await peer.receive() == b"c"
            await it.server.server_close()
            handler.note("closed")
            with pytest.raises(ClientClosedError):
                await client.send_packet("d")
    assert handler.diary == [
        "serving: False",
        "end of the handler: False",
        "exit: True",
        "between: True",
        "init: True",
        "serving: False",
        "closed: True",
        "exit: True",
    ]


async def test_client_of_a_closed_server_is_one_warning_for_a_handler_at_work(
    backend: AsyncBackend, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = backend.create_event()

    class Working(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            self.diary.append(request)
            await go_on.wait()
            await client.send_packet(request)

    handler = Working()
    async with serve(handler) as it:
        peer = it.peer()
        peer.send(b"a")
        await until(lambda: handler.diary)
        await it.server.server_close()
        assert not it.task.done()
        go_on.set()
        await until(it.task.done)
        [warning] = problems(caplog.records)
        assert warning.levelno == logging.WARNING
        assert not peer.has_received()


async def test_closing_the_server_closes_the_generators_that_wait_and_lets_the_others_finish(
    backend: AsyncBackend, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """What had come before is handled. Then, no more will come: nothing keeps the server from its end."""
    go_on = backend.create_event()

    class Working(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await client.send_packet(request)
            try:
                if request == "work":
                    await go_on.wait()
                    self.diary.append((yield 10.0))
                yield None
            except GeneratorExit:
                await backend.coro_yield()
                self.diary.append(f"{request}: closed")
                raise

    handler = Working()
    async with serve(handler) as it:
        idle, busy = it.peer(), it.peer()
        assert await idle.ask(b"idle") == b"idle"
        assert await busy.ask(b"work") == b"work"
        busy.send(b"later")
        await backend.sleep(0.01)
        await it.server.server_close()
        await until(lambda: handler.diary)
        assert handler.diary == ["idle: closed"]
        await backend.sleep(0.01)
        assert not it.task.done()
        go_on.set()
        await until(it.task.done)
    assert handler.diary == ["idle: closed", "later", "work: closed"]
    assert problems(caplog.records) == []


async def test_generator_that_does_not_let_itself_be_closed_is_logged(
    backend: AsyncBackend, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            try:
                yield None
            except GeneratorExit:
                yield None

    async with serve(Stubborn()) as it:
        assert await it.peer().ask(b"a") == b"a"
        await it.server.server_close()
        await until(it.task.done)
    assert len(problems(caplog.records)) == 1


# ------------------------------------------------------------------------------------------------------------- service


async def test_every_generator_has_the_context_of_the_set_up(serve: Serve) -> None:
    variable = contextvars.ContextVar("variable", default="default")

    class Service(Recorder):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            variable.set("from the set-up")

        async def handle(self, client: Client, /) -> Requests:
            first = variable.get()
            variable.set("from a generator")
            request = yield None
            await client.send_packet(f"{request}: {first}, {variable.get()}")

    async with serve(Service()) as it:
        for peer in (it.peer(), it.peer()):
            for request in (b"1", b"2"):
                assert await peer.ask(request) == request + b": from the set-up, from a generator"
            peer.send(b"3", b"4")
            assert await peer.answers(2) == [
                request + b": from the set-up, from a generator" for request in (b"3", b"4")
            ]


async def test_handlers_are_cancelled_before_the_service_ends(backend: AsyncBackend, serve: Serve) -> None:
    class Service(Recorder):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(self.diary.append, "exit")

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await client.send_packet(request)
            try:
                if request == "yield":
                    yield None
                else:
                    await backend.sleep_forever()
            except backend.get_cancelled_exc_class():
                self.diary.append("cancelled")
                raise

    handler = Service()
    async with serve(handler) as it:
        for request in (b"yield", b"sleep"):
            assert await it.peer().ask(request) == request
        await it.server.shutdown()
    assert handler.diary == ["cancelled", "cancelled", "exit"]


async def test_what_waits_for_a_handler_is_not_handled_after_the_end(backend: AsyncBackend, serve: Serve) -> None:
    class Busy(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            await backend.sleep_forever()

    handler = Busy()
    async with serve(handler) as it:
        peer = it.peer()
        peer.send(b"a", b"b", b"c")
        await until(lambda: handler.diary)
        await backend.sleep(0.01)
        await it.server.shutdown()
    assert handler.diary == ["a"]


class Shielded(Recorder):
    """Begins work that no cancellation interrupts, and that ends once the handlers were cancelled."""

    def __init__(self, backend: AsyncBackend) -> None:
        super().__init__()
        self._backend = backend
        self._cancelled = backend.create_event()

    async def handle(self, client: Client, /) -> Requests:
        request = yield None
        self.diary.append(request)
        if request == "watch":
            try:
                await self._backend.sleep_forever()
            finally:
                self._cancelled.set()
        await self._backend.ignore_cancellation(self._cancelled.wait())

    async def serve_until_cancelled(self, serve: Serve) -> int:
        """Let one sender watch, and another one send more than is handled. Return the number of dropped datagrams."""
        async with serve(self) as it:
            assert self._backend is it.server.backend()
            it.peer().send(b"watch")
            await until(lambda: self.diary)
            it.peer().send(b"a", b"b", b"c")
            await until(lambda: len(self.diary) > 1)
            await self._backend.sleep(0.01)
            await it.server.shutdown()
            return it.server.dropped_datagrams


async def test_work_that_a_cancellation_cannot_interrupt_is_followed_by_no_other_generator(
    backend: AsyncBackend, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Shielded(backend)
    assert await handler.serve_until_cancelled(serve) == 2
    assert handler.diary == ["watch", "a"]
    assert problems(caplog.records) == []


async def test_cancellation_that_a_generator_keeps_to_itself_is_followed_by_no_other(
    backend: AsyncBackend, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            if len(self.diary) == 1:
                with contextlib.suppress(backend.get_cancelled_exc_class()):
                    await backend.sleep_forever()

    handler = Stubborn()
    async with serve(handler) as it:
        it.peer().send(b"a", b"b", b"c")
        await until(lambda: handler.diary)
        await backend.sleep(0.01)
        await it.server.shutdown()
    assert handler.diary == ["a"]
    assert problems(caplog.records) == []


async def test_generator_of_a_cancelled_task_gets_what_waits_for_it_on_asyncio_only(
    backend: AsyncBackend, serve: Serve
) -> None:
    class Asking(Shielded):
        async def handle(self, client: Client, /) -> Requests:
            first = super().handle(client)
            await anext(first)
            request = yield None
            with pytest.raises(StopAsyncIteration):
                await first.asend(request)
            try:
                while True:
                    self.diary.append((yield None))
            except backend.get_cancelled_exc_class():
                self.diary.append("cancelled")
                raise

    handler = Asking(backend)
    _ = await handler.serve_until_cancelled(serve)
    # On trio, each wait is a point where the task may be cancelled; on asyncio, those that suspend it.
    kept = [] if sniffio.current_async_library() == "trio" else ["b", "c"]
    assert handler.diary == ["watch", "a", *kept, "cancelled"]


async def test_scope_that_is_cancelled_around_a_yield_loses_no_datagram(backend: AsyncBackend, serve: Serve) -> None:
    class Impatient(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await go_on.wait()
            with backend.move_on_after(0) as scope:
                await backend.ignore_cancellation(backend.sleep(0.001))
                request += yield None
            if scope.cancelled_caught():
                request += yield None
            await client.send_packet(request)

    go_on = backend.create_event()
    async with serve(Impatient()) as it:
        peer = it.peer()
        peer.send(b"a", b"b")
        await backend.sleep(0.01)
        go_on.set()
        assert await peer.receive() == b"ab"


async def test_what_comes_between_two_runs_is_for_the_second(serve: Serve) -> None:
    async with serve(Handler()) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        await it.server.shutdown()
        peer.send(b"b")
        async with serve_again(it):
            assert await peer.receive() == b"b"


async def test_server_that_is_stopped_in_the_midst_of_a_flood_is_as_good_as_new(
    backend: AsyncBackend, serve: Serve, rng: random.Random
) -> None:
    class Busy(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            running.add(id(client))
            try:
                with contextlib.suppress(TimeoutError):
                    while True:
                        request = yield rng.choice([0, 0.001, None])
                        for _ in range(rng.randrange(3)):
                            await backend.coro_yield()
                        await client.send_packet(request)
            finally:
                running.discard(id(client))

    running: set[int] = set()
    async with serve(Busy()) as it:
        peers = [it.peer() for _ in range(5)]
        await it.server.shutdown()
        for turns in range(20):  # few datagrams each time, so that the system drops none
            async with backend.create_task_group() as tasks:
                tasks.start_soon(it.server.serve_forever)
                await until(it.server.is_serving)
                for i in range(turns % 4):
                    for peer in peers:
                        with contextlib.suppress(BlockingIOError):  # Unix sockets have a short queue
                            peer.send(b"%d" % i)
                    await backend.coro_yield()
                await it.server.shutdown()
            assert running == set()
        for peer in peers:
            while peer.has_received():
                await peer.receive()
        async with serve_again(it):
            for peer in peers:
                peer.send(b"last")
                while await peer.receive() != b"last":
                    pass


async def test_task_of_the_service_may_use_the_clients(backend: AsyncBackend, serve: Serve) -> None:
    """Like a chat server: what one says, all hear, from a task that is none of a handler."""

    class Chat(Recorder):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(self.diary.append, "exit")
            tasks = await exit_stack.enter_async_context(backend.create_task_group())
            tasks.start_soon(self.tell_everybody)

        async def handle(self, client: Client, /) -> Requests:
            self.clients.append(client)
            self.diary.append((yield None))

        async def tell_everybody(self) -> None:
            await until(lambda: len(self.diary) == 2)
            for client in self.clients:
                await client.send_packet(" and ".join(sorted(self.diary)))
            await backend.sleep_forever()

    handler = Chat()
    async with serve(handler) as it:
        peers = [it.peer(), it.peer()]
        for number, peer in enumerate(peers):
            peer.send(b"%d" % number)
        for peer in peers:
            assert await peer.receive() == b"0 and 1"
    assert handler.diary[2:] == ["exit"]
