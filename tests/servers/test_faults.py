"""Faults of user code cost one connection and one record, never the server. What propagates is named here as well."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from typing import Any, NoReturn

import pytest
from tests.lowlevel.api_async.servers.pulling import PullingTransport
from tests.support import lowlevel_stream_servers as lowlevel
from tests.support.background import settle, sleep, spawn, until
from tests.support.faults import (
    FAULTS,
    GROUPS,
    BrokenLogging,
    Panic,
    Raising,
    RaisingConverter,
    RaisingSerializer,
    broken_logger,
    native_group,
    one_error,
    stray_cancellation,
)
from tests.support.lines import line_protocol
from tests.support.network_servers import problems
from tests.support.stream_servers import Client, Handler, Requests, Serving, run, serving

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.abc import BufferedIncrementalPacketSerializer
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.misc import build_lowlevel_stream_server_handler

EVERY_BACKEND = True


@contextlib.asynccontextmanager
async def another_client(it: Serving | lowlevel.RunningServer) -> AsyncIterator[None]:
    """A client that is served before, and after all that happens meanwhile; and so are new ones."""
    bystander = await it.connect()
    assert await bystander.ask(b"a") == b"a"
    yield
    assert await bystander.ask(b"b") == b"b"
    newcomer = await it.connect()
    assert await newcomer.ask(b"c") == b"c"


# ------------------------------------------------------------------------------------- task groups around the yields


class Grouped(Handler):
    """Yields within a task group, or within two."""

    def __init__(self, new_group: Callable[[], contextlib.AbstractAsyncContextManager[Any]], depth: int) -> None:
        super().__init__()
        self.new_group = new_group
        self.depth = depth

    async def handle(self, client: Client, /) -> Requests:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(self.depth):
                await stack.enter_async_context(self.new_group())
            while True:
                await client.send_packet((yield None))


@pytest.mark.parametrize("new_group", GROUPS)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
async def test_client_of_a_handler_with_a_task_group_leaves_without_a_word(
    new_group: Any, depth: int, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Grouped(new_group, depth)
    async with serving(handler) as it, another_client(it):
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        getattr(peer, how)()
        await until(lambda: "disconnected" in handler.diary)
    assert problems(caplog.records) == []


@pytest.mark.parametrize("new_group", GROUPS)
async def test_client_leaves_in_a_login_with_a_task_group(new_group: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Login(Handler):
        logins = 0

        async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
            async with new_group():
                self.logins += 1
                await client.send_packet((yield None))
            self.logins -= 1

    handler = Login()
    caplog.set_level(logging.INFO)
    async with serving(handler) as it, another_client(it):
        peer = await it.connect()
        await until(lambda: handler.logins)
        peer.close()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
        handler.logins = 0
    assert problems(caplog.records) == []


@pytest.mark.parametrize("new_group", GROUPS)
@pytest.mark.parametrize("driver", ["inline", "pull"])
@pytest.mark.parametrize("is_built", [False, True])
async def test_low_level_server_closes_a_generator_with_a_task_group(
    new_group: Any, driver: str, is_built: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Grouped(new_group, 1)
    endings: list[str] = []

    @contextlib.asynccontextmanager
    async def initialize(client: Any) -> AsyncIterator[Any]:
        try:
            yield client
        except BaseException as exc:
            endings.append(type(exc).__name__)
            raise
        endings.append("nothing")

    made = build_lowlevel_stream_server_handler(initialize, handler)

    async def forward(client: Any) -> AsyncGenerator[Any, Any]:
        # A plain generator, not the shorter way that our servers know.
        async with contextlib.aclosing(made(client)) as agen:
            request = yield await anext(agen)
            while True:
                request = yield await agen.asend(request)

    async def plain(client: Any) -> AsyncGenerator[Any, Any]:
        async with new_group():
            while True:
                await client.send_packet((yield None))

    async with lowlevel.serving(forward if is_built else plain, driver) as it, another_client(it):
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        peer.close()
        await sleep(0.02)
        assert not it.task.done()
    assert problems(caplog.records) == []
    if is_built:
        assert set(endings) == {"GeneratorExit"}


async def test_what_fails_while_a_generator_is_closed_is_reported_without_its_exit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            try:
                await client.send_packet((yield None))
            except GeneratorExit as exc:
                raise BaseExceptionGroup("", [exc, ValueError("on purpose")]) from None

    async with serving(Failing()) as it, another_client(it):
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        peer.close()
        error = await one_error(caplog)
        caplog.clear()
    assert isinstance(error, ExceptionGroup)
    assert [type(item) for item in error.exceptions] == [ValueError]


async def test_generator_that_goes_on_when_it_is_closed_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with contextlib.suppress(GeneratorExit):
                await client.send_packet((yield None))
                await client.send_packet((yield None))
                await client.send_packet((yield None))
            yield None

    async with serving(Stubborn()) as it, another_client(it):
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        peer.close()
        error = await one_error(caplog)
        caplog.clear()
    assert "ignored GeneratorExit" in str(error)


# --------------------------------------------------------------------------------------------- what is no Exception


class Faulty(Handler):
    """Raises in one of its hooks, for the client that has asked for it by its first request, or for all."""

    def __init__(self, where: str, make_fault: Callable[[], BaseException]) -> None:
        super().__init__()
        self.where = where
        self.make_fault = make_fault
        self.is_armed = False

    async def on_connection(self, client: Client, /) -> None:
        self._raise_in("on_connection")

    async def handle(self, client: Client, /) -> Requests:
        self._raise_in("handle, before its yield")
        request = yield None
        self._raise_in("handle")
        await settle()
        self._raise_in("handle, after a wait")
        await client.send_packet(request)

    async def on_disconnection(self, client: Client, /) -> None:
        self._raise_in("on_disconnection")

    def _raise_in(self, where: str) -> None:
        if self.is_armed and where == self.where:
            raise self.make_fault()


class FaultyLogin(Faulty):
    async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override] # a generator
        if self.is_armed:
            yield None
            raise self.make_fault()


HOOKS = ["on_connection", "handle, before its yield", "handle", "handle, after a wait", "on_disconnection", "login"]


@pytest.mark.parametrize("where", HOOKS)
async def test_fault_of_a_hook_costs_one_connection_and_one_record(
    where: str, make_fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handler = FaultyLogin(where, make_fault) if where == "login" else Faulty(where, make_fault)
    async with serving(handler) as it, another_client(it):
        handler.is_armed = True
        peer = await it.connect()
        await peer.send(b"a\n")
        if where == "on_disconnection":
            peer.half_close()
        assert await peer.gone()
        error = await one_error(caplog)
        handler.is_armed = False
    assert type(error) is type(make_fault())


class RaisingFraming(Raising, BufferedIncrementalPacketSerializer[str, str, bytearray]):
    """Frames of four bytes and a newline, by generators."""

    def serialize(self, packet: str) -> bytes:
        return packet.encode()

    def deserialize(self, data: bytes) -> str:
        return data.decode()

    def incremental_serialize(self, packet: str) -> Generator[bytes, None, None]:
        yield packet.encode() + b"\n"

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[str, bytes]]:
        data = b""
        while b"\n" not in data:
            data += yield
        line, _, rest = data.partition(b"\n")
        self.check(line)
        return line.decode(), rest

    def create_deserializer_buffer(self, sizehint: int) -> bytearray:
        return bytearray(sizehint)

    def buffered_incremental_deserialize(self, buffer: bytearray) -> Generator[int, int, tuple[str, bytes]]:
        end = 0
        while b"\n" not in buffer[:end]:
            end += yield end
        line, _, rest = bytes(buffer[:end]).partition(b"\n")
        self.check(line)
        return line.decode(), rest


def faulty_protocol(kind: str, make_fault: Callable[[], BaseException]) -> AnyStreamProtocolType[str, str]:
    make_protocol: Any = BufferedStreamProtocol if "buffered" in kind else StreamProtocol
    faulty: Any
    protocol: AnyStreamProtocolType[str, str]
    if "converter" in kind:
        faulty = RaisingConverter("encode" if "encode" in kind else "decode")
        protocol = make_protocol(StringLineSerializer(), faulty)
    else:
        faulty = RaisingFraming() if "framing" in kind else RaisingSerializer()
        protocol = make_protocol(faulty)
    faulty.make_fault = make_fault
    return protocol


CODECS = [
    "converter decode",
    "converter encode",
    "serializer",
    "framing",
    "buffered framing",
    "buffered converter decode",
]


@pytest.mark.parametrize("kind", CODECS)
async def test_fault_of_a_codec_costs_one_connection_and_one_record(
    kind: str, make_fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Handler()
    server: Any = AsyncTCPNetworkServer("127.0.0.1", 0, faulty_protocol(kind, make_fault), handler)
    async with run(server) as it, another_client(it):
        for data in (b"fail\n", b"fail\nb\n"):
            handler.diary.clear()
            caplog.clear()
            peer = await it.connect()
            await peer.send(data)
            assert await peer.gone()
            assert type(await one_error(caplog)) is type(make_fault())
            assert "disconnected" in handler.diary


@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize("driver", ["inline", "pull"])
@pytest.mark.parametrize("make_fault", [Panic, GeneratorExit])
async def test_fault_of_a_codec_ends_no_low_level_server(
    kind: str, driver: str, make_fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def handler(client: Any) -> AsyncGenerator[Any, Any]:
        try:
            while True:
                await client.send_packet((yield None))
        finally:
            await settle()
            ended.append("well")

    async with (
        lowlevel.serving(handler, driver, protocol=faulty_protocol(kind, make_fault)) as it,
        another_client(it),
    ):
        peer = await it.connect()
        await peer.send(b"fail\n")
        assert await peer.gone()
        error = await one_error(caplog)
        assert ended == ["well"]
    assert type(error) is type(make_fault())


@pytest.mark.parametrize("driver", ["inline", "pull"])
async def test_fault_of_a_disconnect_error_filter_ends_no_server(
    driver: str, make_fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Any) -> AsyncGenerator[Any, Any]:
        while True:
            await client.send_packet((yield None))

    def no_filter(exc: Exception) -> bool:
        raise make_fault()

    async with lowlevel.serving(handler, driver, disconnect_error_filter=no_filter) as it, another_client(it):
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        peer.reset()
        assert type(await one_error(caplog)) is type(make_fault())


@pytest.mark.parametrize("is_entering", [False, True])
async def test_fault_of_an_initializer_ends_no_server(
    is_entering: bool, make_fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    armed: list[bool] = []

    class initialize(contextlib.AbstractAsyncContextManager[Any]):
        def __init__(self, client: Any) -> None:
            self.client = client

        async def __aenter__(self) -> Any:
            if armed and is_entering:
                raise make_fault()
            return self.client

        async def __aexit__(self, *exc_info: object) -> None:
            if armed and not is_entering:
                raise make_fault()

    handler: Any = build_lowlevel_stream_server_handler(initialize, Handler())
    async with lowlevel.serving(handler) as it, another_client(it):
        armed.append(True)
        peer = await it.connect()
        peer.half_close()
        assert await peer.gone()
        assert type(await one_error(caplog)) is type(make_fault())
        armed.clear()


@pytest.mark.parametrize("method", ["recv_into", "send_all", "aclose"])
@pytest.mark.parametrize("error", [OSError(5, "on purpose"), Panic()])
async def test_fault_of_a_transport_ends_no_server(
    method: str, error: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that a user has written."""

    async def handler(client: Any) -> AsyncGenerator[Any, Any]:
        await client.send_packet((yield None))
        await client.send_packet((yield None))

    async with lowlevel.serving(handler, "pull") as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        with monkeypatch.context() as patch:

            async def fail(self: PullingTransport, *args: Any) -> NoReturn:
                self._socket.close()
                raise error

            patch.setattr(PullingTransport, method, fail)
            await peer.send(b"b\n")
            if method == "recv_into":
                peer.half_close()  # it is within the method already
                await (await it.connect()).gone()
            assert await peer.gone()
            await until(lambda: problems(caplog.records))
        assert await (await it.connect()).ask(b"c") == b"c"
        assert not it.task.done()
    assert problems(caplog.records)[0].levelno == logging.ERROR
    assert problems(caplog.records)[0].exc_info[1] is error


# -------------------------------------------------------------------------------------------------- what propagates


@pytest.mark.parametrize("fatal", [SystemExit, KeyboardInterrupt])
async def test_group_with_a_fatal_exception_propagates_and_the_rest_of_it_is_logged(
    fatal: type[BaseException], backend: AsyncBackend, caplog: pytest.LogCaptureFixture
) -> None:
    class Fatal(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            raise BaseExceptionGroup("", [BaseExceptionGroup("", [fatal()]), LookupError(), Panic()])

    raised: list[BaseException] = []

    async def serve(server: AsyncTCPNetworkServer[str, str]) -> None:
        try:
            await server.serve_forever()
        except BaseException as exc:
            raised.append(exc)

    server = AsyncTCPNetworkServer("127.0.0.1", 0, line_protocol(), Fatal())
    async with server:
        task = spawn(serve(server))
        peer = await Serving(server, task).connect()
        await peer.send(b"a\n")
        await task.wait()
        peer.close()
    error = raised[0]
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    assert type(error) is fatal
    rest = await one_error(caplog)
    assert isinstance(rest, BaseExceptionGroup)
    assert [type(item) for item in rest.exceptions] == [LookupError, Panic]


async def test_cancellation_in_a_group_ends_the_handler_and_the_rest_of_the_group_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Grouping(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                while True:
                    await client.send_packet((yield None))
            except BaseException as exc:
                raise BaseExceptionGroup("", [exc, LookupError("on purpose")]) from None

    async with serving(Grouping()) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await it.server.shutdown()
        await it.task.wait()
        assert it.task.error is None
        error = await one_error(caplog)
    assert isinstance(error, ExceptionGroup)
    assert [type(item) for item in error.exceptions] == [LookupError]


async def test_shutdown_logs_no_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Grouped(native_group, 2)) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
    assert problems(caplog.records) == []


@pytest.mark.parametrize("where", ["on_connection", "handle", "on_disconnection"])
async def test_cancellation_of_another_task_is_an_error_like_any_other(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(Handler):
        is_armed = False

        async def on_connection(self, client: Client, /) -> None:
            await self.fail_in("on_connection")

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await self.fail_in("handle")
            await client.send_packet(request)

        async def on_disconnection(self, client: Client, /) -> None:
            await self.fail_in("on_disconnection")

        async def fail_in(self, hook: str) -> None:
            if self.is_armed and hook == where:
                await stray_cancellation()

    handler = Careless()
    async with serving(handler) as it, another_client(it):
        handler.is_armed = True
        peer = await it.connect()
        await peer.send(b"a\n")
        peer.half_close()
        assert await peer.gone()
        assert isinstance(await one_error(caplog), ensure_backend(None).get_cancelled_exc_class())
        handler.is_armed = False


# ----------------------------------------------------------------------------------------------------------- loggers


@pytest.mark.parametrize("how", ["handler", "filter"])
@pytest.mark.parametrize("make_error", [OSError, *FAULTS.values()])
async def test_logging_that_fails_costs_records_and_nothing_else(
    how: str, make_error: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    class Failing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            if request == "fail":
                raise LookupError
            await client.send_packet(request)

    with broken_logger(how, make_error) as logger:
        async with serving(Failing(), logger=logger) as it, another_client(it):
            for request in (b"fail\n", b"\xff\n", b""):
                peer = await it.connect()
                await peer.send(request)
                peer.half_close()
                assert await peer.gone()
    assert "Logging error" in capsys.readouterr().err


async def test_logging_that_fails_ends_no_low_level_server(make_fault: Any, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("easynetwork.lowlevel.api_async.servers.stream")
    handler = BrokenLogging(make_fault)

    async def failing(client: Any) -> AsyncGenerator[Any, Any]:
        while (request := (yield None)) != "fail":
            await client.send_packet(request)
        raise LookupError

    logger.addHandler(handler)
    try:
        async with lowlevel.serving(failing) as it, another_client(it):
            peer = await it.connect()
            await peer.send(b"fail\n")
            assert await peer.gone()
    finally:
        logger.removeHandler(handler)
    assert "Logging error" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------- handlers that are mistakes


class NoYield(Handler):
    async def handle(self, client: Client, /) -> None:  # type: ignore[override]
        pass


class PlainGenerator(Handler):
    def handle(self, client: Client, /) -> Generator[None, str]:  # type: ignore[override]
        yield None


class Nothing(Handler):
    def handle(self, client: Client, /) -> None:  # type: ignore[override]
        pass


class PlainGreeting(Handler):
    def on_connection(self, client: Client, /) -> None:  # type: ignore[override]
        pass


class PlainGoodbye(Handler):
    def on_disconnection(self, client: Client, /) -> None:  # type: ignore[override]
        pass


class GeneratorGoodbye(Handler):
    async def on_disconnection(self, client: Client, /) -> Requests:  # type: ignore[override]
        yield None


MISTAKES: list[tuple[type[Handler], str]] = [
    (NoYield, "must be an asynchronous generator function .*returned <coroutine object .*NoYield.handle"),
    (PlainGenerator, "must be an asynchronous generator function .*returned <generator object .*PlainGenerator.handle"),
    (Nothing, "must be an asynchronous generator function .*returned None"),
    (PlainGreeting, r"on_connection\(\) must be a coroutine function or .*returned None"),
    (PlainGoodbye, r"on_disconnection\(\) must be a coroutine function, .*returned None"),
    (GeneratorGoodbye, r"on_disconnection\(\) must be a coroutine function, .*returned <async_generator"),
]


@pytest.mark.parametrize(("handler_type", "text"), MISTAKES)
async def test_handler_of_the_wrong_kind_is_told_what_is_allowed(
    handler_type: type[Handler], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(handler_type()) as it:
        peer = await it.connect()
        peer.half_close()
        assert await peer.gone()
        error = await one_error(caplog)
    with pytest.raises(TypeError, match=text):
        raise error


@pytest.mark.parametrize(("handler_type", "text"), MISTAKES)
@pytest.mark.parametrize("is_forwarded", [False, True])
async def test_low_level_handler_of_the_wrong_kind_is_told_what_is_allowed(
    handler_type: type[Handler], text: str, is_forwarded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.asynccontextmanager
    async def initialize(client: Any) -> AsyncIterator[Any]:
        yield client

    made: Any = build_lowlevel_stream_server_handler(initialize, handler_type())
    handler = (lambda client: made(client)) if is_forwarded else made
    async with lowlevel.serving(handler) as it:
        peer = await it.connect()
        peer.half_close()
        assert await peer.gone()
        error = await one_error(caplog)
    with pytest.raises(TypeError, match=text):
        raise error


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


@pytest.mark.parametrize(
    ("yielded", "text"),
    [
        (Odd(), "may yield None, a number or RecvParams, got <odd>"),
        ("5", "may yield None, a number or RecvParams, got '5'"),
        (RecvParams(timeout=Odd()), "timeout of a yield must be None or a number, got <odd>"),  # type: ignore[arg-type]
        (
            RecvParams(recv_with_ancillary=print),  # type: ignore[arg-type]
            "'recv_with_ancillary' must be None or RecvAncillaryDataParams, got <built-in function print>",
        ),
    ],
)
async def test_what_must_not_be_yielded_is_an_error_there_that_says_what_is_allowed(yielded: Any, text: str) -> None:
    class Yielding(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                yield yielded
            except TypeError as exc:
                self.diary.append(str(exc))
            await client.send_packet((yield None))

    handler = Yielding()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
    assert any(text in entry for entry in handler.diary)
