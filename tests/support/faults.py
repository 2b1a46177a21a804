"""What user code can raise besides an `Exception`, code that raises it, and loggers that fail."""

from __future__ import annotations

__all__ = [
    "FAULTS",
    "GROUPS",
    "BrokenLogging",
    "Panic",
    "Raising",
    "RaisingConverter",
    "RaisingSerializer",
    "broken_logger",
    "native_group",
    "one_error",
    "our_group",
    "stray_cancellation",
]

import asyncio
import contextlib
import logging
from collections.abc import Callable, Generator
from typing import Any, NoReturn

import pytest
import sniffio
from tests.support.background import settle, until
from tests.support.network_servers import problems

from easynetwork.converter import AbstractPacketConverterComposite
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.serializers.line import StringLineSerializer


class Panic(BaseException):
    """What native extensions raise when they panic."""


FAULTS: dict[str, Callable[[], BaseException]] = {
    "panic": Panic,
    "exit of a generator": GeneratorExit,
    "stray cancellation": asyncio.CancelledError,
    "group": lambda: BaseExceptionGroup("", [Panic(), BaseExceptionGroup("", [GeneratorExit(), ValueError()])]),
}


async def one_error(caplog: pytest.LogCaptureFixture) -> BaseException:
    """Wait for a record, and return the exception in it. It has to be the only record, and an error."""
    await until(lambda: problems(caplog.records))
    await settle()
    [record] = problems(caplog.records)
    assert record.levelno == logging.ERROR
    error: BaseException = record.exc_info[1]
    return error


def native_group() -> contextlib.AbstractAsyncContextManager[Any]:
    """Return a task group of the running library."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.open_nursery()
    return asyncio.TaskGroup()


def our_group() -> contextlib.AbstractAsyncContextManager[Any]:
    """Return a task group of the running backend."""
    return ensure_backend(None).create_task_group()


GROUPS = [native_group, our_group]


class Raising:
    """Raises for the packet ``fail``."""

    make_fault: Callable[[], BaseException]

    def check(self, packet: Any) -> None:
        if packet in ("fail", b"fail"):
            raise self.make_fault()


class RaisingConverter(Raising, AbstractPacketConverterComposite[str, str, str, str]):
    """Raises in one direction, ``"decode"`` or ``"encode"``."""

    def __init__(self, direction: str) -> None:
        self.direction = direction

    def create_from_dto_packet(self, packet: str, /) -> str:
        if self.direction == "decode":
            self.check(packet)
        return packet

    def convert_to_dto_packet(self, obj: str, /) -> str:
        if self.direction == "encode":
            self.check(obj)
        return obj


class RaisingSerializer(Raising, StringLineSerializer):
    """Raises when it deserializes."""

    def deserialize(self, data: bytes) -> str:
        self.check(bytes(data))
        return super().deserialize(data)


async def stray_cancellation() -> None:
    """Raise the cancellation of another task in this one."""
    if sniffio.current_async_library() == "trio":
        import trio

        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as exc:
                error = exc
        raise error
    task = asyncio.ensure_future(asyncio.sleep(3600))
    await asyncio.sleep(0)
    task.cancel()
    await task


class BrokenLogging(logging.Handler):
    """A handler that raises for each record."""

    def __init__(self, make_fault: Callable[[], BaseException]) -> None:
        super().__init__()
        self.make_fault = make_fault

    def emit(self, record: logging.LogRecord) -> NoReturn:
        raise self.make_fault()


@contextlib.contextmanager
def broken_logger(how: str, make_fault: Callable[[], BaseException]) -> Generator[logging.Logger]:
    """Give a logger that raises for each record, in a ``"handler"`` or in a ``"filter"``."""
    logger = logging.getLogger("tests.broken")
    logger.setLevel(logging.DEBUG)
    handler = BrokenLogging(make_fault)
    logger.propagate = False
    if how == "handler":
        logger.addHandler(handler)
    else:
        logger.addFilter(handler.emit)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(handler.emit)
        logger.propagate = True
