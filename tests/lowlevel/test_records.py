"""Log records of servers: what is written, and what happens if that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from easynetwork.exceptions import DatagramProtocolParseError, DeserializeError
from easynetwork.lowlevel._core.faults import Origin
from easynetwork.lowlevel._records import log, log_fault

LOGGER = logging.getLogger("tests.records")


class Panic(BaseException):
    pass


@pytest.fixture
def fail_with() -> Iterator[Callable[[BaseException], None]]:
    """Let each record of the logger fail."""
    failures: list[BaseException] = []

    def refuse(record: logging.LogRecord) -> bool:
        if failures:
            raise failures[0]
        return True

    LOGGER.addFilter(refuse)
    yield failures.append
    LOGGER.removeFilter(refuse)


def test_record_names_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError()
    log(LOGGER, logging.ERROR, "%s: something", "peer", exc_info=error)
    [record] = caplog.records
    assert record.getMessage() == "peer: something"
    assert record.funcName == "test_record_names_the_caller"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("failure", [OSError("full"), Panic("full"), GeneratorExit("full")])
def test_failure_is_printed_and_costs_the_record(
    failure: BaseException, fail_with: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(failure)
    log(LOGGER, logging.ERROR, "%s: something", "peer")
    printed = capsys.readouterr().err
    assert "'%s: something' ('peer',)" in printed
    assert f"{type(failure).__name__}: full" in printed


def test_failure_is_not_printed_if_logging_is_told_so(
    fail_with: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    fail_with(OSError())
    log(LOGGER, logging.ERROR, "something")
    assert capsys.readouterr().err == ""


def test_failure_is_ignored_where_nothing_can_be_printed(fail_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    fail_with(OSError())
    log(LOGGER, logging.ERROR, "something")


@pytest.mark.parametrize("failure", [SystemExit(), KeyboardInterrupt()])
def test_fatal_exception_propagates(failure: BaseException, fail_with: Any) -> None:
    fail_with(failure)
    with pytest.raises(type(failure)):
        log(LOGGER, logging.ERROR, "something")


def test_fault_of_the_peer_is_one_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    origin = Origin()
    error = DatagramProtocolParseError(DeserializeError("wrong\n  in two lines"))
    origin.claim(error)
    log_fault(LOGGER, "peer", ExceptionGroup("", [error]), origin)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "peer: invalid packet: wrong in two lines"
    assert record.exc_info is None


def test_group_is_one_line_for_the_peer_and_one_record_for_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    origin = Origin()
    error, fault = DatagramProtocolParseError(DeserializeError("wrong")), ValueError()
    origin.claim(error)
    log_fault(LOGGER, "peer", ExceptionGroup("", [error, fault]), origin)
    warning, record = caplog.records
    assert (warning.levelno, record.levelno) == (logging.WARNING, logging.ERROR)
    assert record.exc_info is not None
    rest = record.exc_info[1]
    assert isinstance(rest, ExceptionGroup)
    assert rest.exceptions == (fault,)
