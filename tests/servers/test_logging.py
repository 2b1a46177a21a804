"""What a server writes to its logger."""

from __future__ import annotations

import logging
import pathlib
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.background import sleep, until
from tests.support.network_servers import problems
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Requests, run, serving

from easynetwork.exceptions import (
    ClientClosedError,
    DeserializeError,
    IncrementalDeserializeError,
    StreamProtocolParseError,
)
from easynetwork.lowlevel.socket import new_socket_address
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

EVERY_BACKEND = True


class Raising(Handler):
    """Raises in one of its hooks."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__()
        self.where = where
        self.error = error

    async def on_connection(self, client: Client, /) -> None:
        self._raise_in("on_connection")

    async def handle(self, client: Client, /) -> Requests:
        yield None
        self._raise_in("handle")

    async def on_disconnection(self, client: Client, /) -> None:
        self._raise_in("on_disconnection")

    def _raise_in(self, where: str) -> None:
        if where == self.where:
            raise self.error


async def records_of(handler: Handler, caplog: pytest.LogCaptureFixture, **options: Any) -> tuple[list[Any], str]:
    """Serve one client that sends a request and leaves; return the records about it, and its address."""
    caplog.set_level(logging.DEBUG, "easynetwork")
    async with serving(handler, **options) as it:
        caplog.clear()
        peer = await it.connect()
        address = str(new_socket_address(peer.sock.getsockname(), peer.sock.family))
        await peer.send(b"a\n")
        peer.half_close()
        assert await peer.gone()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
        records = list(caplog.records)
    return records, address


HOOKS = ["on_connection", "handle", "on_disconnection"]


@pytest.mark.parametrize("where", HOOKS)
@pytest.mark.parametrize("error", [LookupError("on purpose"), ConnectionRefusedError("the database")])
async def test_error_is_one_record_that_says_whose(
    where: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    records, address = await records_of(Raising(where, error), caplog)
    [record] = problems(records)
    assert record.levelno == logging.ERROR
    assert record.name == "easynetwork.servers.async_tcp"
    assert record.getMessage().startswith(address)
    assert record.exc_info[1] is error


async def test_errors_of_handle_and_of_on_disconnection_are_one_record(caplog: pytest.LogCaptureFixture) -> None:
    first, second = LookupError(), ValueError()

    class Failing(Raising):
        async def on_disconnection(self, client: Client, /) -> None:
            raise second

    records, _ = await records_of(Failing("handle", first), caplog)
    [record] = problems(records)
    assert record.exc_info is not None
    assert record.exc_info[1].exceptions == (first, second)


async def test_invalid_packet_that_is_not_caught_is_one_line_and_its_traceback_is_for_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    async with serving(Handler()) as it:
        peer = await it.connect()
        address = str(new_socket_address(peer.sock.getsockname(), peer.sock.family))
        await peer.send(b"\xff\n")
        assert await peer.gone()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
        [warning] = problems(caplog.records)
        assert warning.levelno == logging.WARNING
        assert warning.getMessage().startswith(f"{address}: invalid packet: ")
        assert "\n" not in warning.getMessage()
        assert warning.exc_info is None
        [detail] = (record for record in caplog.records if record.exc_info)
        assert detail.levelno == logging.DEBUG
        assert detail.exc_info is not None
        assert isinstance(detail.exc_info[1], StreamProtocolParseError)


async def test_invalid_packet_of_another_origin_is_an_error_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    error = StreamProtocolParseError(b"", IncrementalDeserializeError("from another server", b""))
    records, _ = await records_of(Raising("handle", error), caplog)
    [record] = problems(records)
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is error


@pytest.mark.parametrize("where", HOOKS)
@pytest.mark.parametrize("is_group", [False, True])
async def test_use_of_a_closed_client_is_one_warning(
    where: str, is_group: bool, caplog: pytest.LogCaptureFixture
) -> None:
    error: Exception = ClientClosedError("on purpose")
    if is_group:
        error = ExceptionGroup("", [ExceptionGroup("", [error])])
    records, address = await records_of(Raising(where, error), caplog)
    [warning] = problems(records)
    assert warning.levelno == logging.WARNING
    assert address in warning.getMessage()
    assert warning.__dict__["peer"] == address
    assert warning.exc_info is not None


class Sending(Raising):
    """Sends in one of its hooks until the connection breaks; what it raises then is made of that error."""

    def __init__(self, where: str, make_error: Callable[[ConnectionError], Exception]) -> None:
        super().__init__(where, Exception())
        self.make_error = make_error

    async def on_connection(self, client: Client, /) -> None:
        if self.where == "on_connection":
            await self.send_in_vain(client)

    async def handle(self, client: Client, /) -> Requests:
        yield None
        if self.where == "handle":
            await self.send_in_vain(client)

    async def on_disconnection(self, client: Client, /) -> None:
        if self.where == "on_disconnection":
            await self.send_in_vain(client)
        self.diary.append("disconnected")

    async def send_in_vain(self, client: Client) -> None:
        try:
            while True:
                await client.send_packet("x" * 100_000)
        except ConnectionError as exc:
            error = self.make_error(exc)
        await client.backend().ignore_cancellation(client.backend().sleep(0))
        raise error


async def records_of_a_reset(handler: Handler, caplog: pytest.LogCaptureFixture) -> tuple[list[Any], str]:
    """Serve one client that sends a request and resets; return the records about it, and its address."""
    caplog.set_level(logging.DEBUG, "easynetwork")
    async with serving(handler) as it:
        peer = await it.connect(receive_buffer=8192)
        address = str(new_socket_address(peer.sock.getsockname(), peer.sock.family))
        await peer.send(b"a\n")
        await until(lambda: any("Accepted" in record.getMessage() for record in caplog.records))
        peer.reset()
        await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
        return problems(caplog.records), address


def as_it_is(exc: Exception) -> Exception:
    return exc


def in_groups(exc: Exception) -> Exception:
    return ExceptionGroup("", [ExceptionGroup("", [exc])])


def as_the_cause(exc: Exception) -> Exception:
    error = ConnectionAbortedError("made by the handler")
    error.__cause__ = exc
    return error


@pytest.mark.parametrize("where", ["on_connection", "handle"])
@pytest.mark.parametrize("make_error", [as_it_is, in_groups])
async def test_end_of_the_own_connection_is_no_news(
    where: str, make_error: Callable[[Exception], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    problems, _ = await records_of_a_reset(Sending(where, make_error), caplog)
    assert problems == []


@pytest.mark.parametrize("make_error", [as_it_is, in_groups])
async def test_end_of_the_own_connection_at_the_very_end_is_one_warning(
    make_error: Callable[[Exception], Exception], caplog: pytest.LogCaptureFixture
) -> None:
    [warning], address = await records_of_a_reset(Sending("on_disconnection", make_error), caplog)
    assert warning.levelno == logging.WARNING
    assert warning.__dict__["peer"] == address
    assert warning.exc_info is None


@pytest.mark.parametrize("where", HOOKS)
async def test_connection_error_made_of_another_one_is_an_error_like_any_other(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    [record], address = await records_of_a_reset(Sending(where, as_the_cause), caplog)
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(address)
    assert "made by the handler" in str(record.exc_info[1])


async def test_end_of_the_connection_of_another_client_is_an_error_like_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Chat(Handler):
        first: Client | None = None

        async def handle(self, client: Client, /) -> Requests:
            if self.first is None:
                self.first = client
            request = yield None
            if request == "wait":
                await client.backend().sleep_forever()  # does not learn that its client has gone
            while True:
                await self.first.send_packet("x" * 100_000)

    async with serving(Chat()) as it:
        first = await it.connect(receive_buffer=8192)
        await first.send(b"wait\n")
        await sleep(0.02)
        second = await it.connect()
        address = str(new_socket_address(second.sock.getsockname(), second.sock.family))
        await second.send(b"go\n")
        await sleep(0.02)
        first.reset()
        assert await second.gone()
        await until(lambda: problems(caplog.records))
        [record] = problems(caplog.records)
        assert record.levelno == logging.ERROR
        assert record.getMessage().startswith(address)
        assert isinstance(record.exc_info[1], ConnectionError)


@pytest.mark.parametrize("where", ["on_connection", "handle"])
async def test_group_is_split_and_what_remains_is_one_group(where: str, caplog: pytest.LogCaptureFixture) -> None:
    lookup, value = LookupError(), ValueError()

    def make_error(exc: Exception) -> Exception:
        return ExceptionGroup("", [lookup, ClientClosedError(), ExceptionGroup("", [exc, value])])

    [warning, record], address = await records_of_a_reset(Sending(where, make_error), caplog)
    assert (warning.levelno, record.levelno) == (logging.WARNING, logging.ERROR)
    rest = record.exc_info[1]
    assert isinstance(rest, ExceptionGroup)
    assert rest.exceptions[0] is lookup
    assert isinstance(rest.exceptions[1], ExceptionGroup)
    assert rest.exceptions[1].exceptions == (value,)
    assert address in record.getMessage()


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({}, logging.INFO),
        ({"log_client_connection": None}, logging.INFO),
        ({"log_client_connection": True}, logging.INFO),
        ({"log_client_connection": False}, logging.DEBUG),
    ],
)
async def test_coming_and_going_is_logged_at_the_chosen_level(
    options: dict[str, Any], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "easynetwork")
    async with serving(Handler(), **options) as it:
        peer = await it.connect()
        address = str(new_socket_address(peer.sock.getsockname(), peer.sock.family))
        assert await peer.ask(b"a") == b"a"
        assert [record.levelno for record in caplog.records if address in record.getMessage()] == [level]
        peer.close()
        await until(lambda: len([r for r in caplog.records if address in r.getMessage()]) == 2)
        assert [record.levelno for record in caplog.records if address in record.getMessage()] == [level] * 2


async def test_everything_goes_to_the_logger_that_was_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = ExceptionGroup("", [LookupError(), ClientClosedError()])
    await records_of(Raising("handle", error), caplog, logger=logging.getLogger("mine"))
    assert {record.name for record in caplog.records if record.name != "asyncio"} == {"mine"}


async def test_text_of_a_client_cannot_forge_records(caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path) -> None:
    """Neither by the name of its socket, nor by a packet that a serializer quotes."""

    class Quoting(StringLineSerializer):
        def deserialize(self, data: bytes, /) -> str:
            raise DeserializeError(f"what is {data.decode()}?")

    caplog.set_level(logging.INFO)
    protocol: StreamProtocol[str, str] = StreamProtocol(Quoting())
    server: AsyncUnixStreamServer[str, str] = AsyncUnixStreamServer(tmp_path / "server", protocol, Handler())
    async with run(server):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(f"{tmp_path}/a\nERROR:root:forged \x1b[2J")
        peer = Peer(sock)
        await peer.connect(f"{tmp_path}/server")
        await peer.send(b"a\x1b[2J\rb\n")
        assert await peer.gone()
        peer.close()
        await until(lambda: "disconnected" in caplog.text)
    for record in caplog.records:
        assert record.getMessage().isprintable()
    assert any(r"what is a\x1b[2J b?" in record.getMessage() for record in caplog.records)
    assert any(r"/a\nERROR:root:forged \x1b[2J disconnected" in record.getMessage() for record in caplog.records)
