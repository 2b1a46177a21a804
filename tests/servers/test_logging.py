"""What a server writes to its logger."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.servers.serving import Client, Handler, Requests, serving, until

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.socket import new_socket_address

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
    """Serves one client that sends a request and leaves; returns the records about it, and its address."""
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
async def test_error_is_three_records_and_the_middle_one_says_whose(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    error = LookupError("on purpose")
    records, address = await records_of(Raising(where, error), caplog)
    before, middle, after = (record for record in records if record.levelno > logging.INFO)
    assert {record.levelno for record in (before, middle, after)} == {logging.ERROR}
    assert {record.name for record in (before, middle, after)} == {"easynetwork.servers.async_tcp"}
    assert before.getMessage() == after.getMessage()
    assert before.exc_info is after.exc_info is None
    assert address in middle.getMessage()
    assert middle.exc_info[1] is error


@pytest.mark.parametrize("where", HOOKS)
@pytest.mark.parametrize("is_group", [False, True])
async def test_use_of_a_closed_client_is_one_warning(
    where: str, is_group: bool, caplog: pytest.LogCaptureFixture
) -> None:
    error: Exception = ClientClosedError("on purpose")
    if is_group:
        error = ExceptionGroup("", [ExceptionGroup("", [error])])
    records, address = await records_of(Raising(where, error), caplog)
    [warning] = (record for record in records if record.levelno > logging.INFO)
    assert warning.levelno == logging.WARNING
    if where != "on_disconnection":  # there it is one of the connection errors, which need no traceback
        assert address in warning.getMessage()
        assert warning.exc_info is not None


@pytest.mark.parametrize("where", ["on_connection", "handle"])
@pytest.mark.parametrize("error", [ConnectionResetError(), ExceptionGroup("", [BrokenPipeError()])])
async def test_connection_errors_are_no_news(where: str, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    records, _ = await records_of(Raising(where, error), caplog)
    assert [record for record in records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize("error", [ConnectionResetError(), ExceptionGroup("", [BrokenPipeError()])])
async def test_connection_error_at_the_very_end_is_one_warning(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    records, _ = await records_of(Raising("on_disconnection", error), caplog)
    assert [record.levelno for record in records if record.levelno > logging.INFO] == [logging.WARNING]


@pytest.mark.parametrize("where", ["on_connection", "handle"])
async def test_group_is_split_and_what_remains_is_one_group(where: str, caplog: pytest.LogCaptureFixture) -> None:
    lookup, value = LookupError(), ValueError()
    error = ExceptionGroup("", [lookup, ClientClosedError(), ExceptionGroup("", [ConnectionResetError(), value])])
    records, address = await records_of(Raising(where, error), caplog)
    levels = [record.levelno for record in records if record.levelno > logging.INFO]
    assert sorted(levels) == [logging.WARNING] + [logging.ERROR] * 3
    with_traceback = [record for record in records if record.levelno == logging.ERROR and record.exc_info]
    [record] = with_traceback
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
