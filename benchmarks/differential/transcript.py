"""The observations of a program, as lines of text, so that two runs can be compared."""

from __future__ import annotations

import errno
import logging
import re
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["LOGGERS", "Transcript", "describe_error", "without_incidentals"]

LOGGERS = ("easynetwork", "asyncio", "program")

# Compare these attributes of EasyNetwork's errors. Of other errors, only the class and errno are part of the contract.
_ATTRIBUTES = ("error_info", "remaining_data", "consumed", "error")
_INCIDENTALS = (
    (re.compile(r"/\S*?differential-[^/\s'\"]+"), "<folder>"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x..."),
    (re.compile(r"((?:127\.0\.0\.1|::1)'?, (?:port=)?)\d{4,5}"), r"\1<port>"),
    (re.compile(r"'\\x00[0-9a-f]{5}'|b'\\x00[0-9a-f]{5}'"), "<automatic name>"),
)


class Transcript:
    """The lines of one run. Each is a label, a colon, and the outcome: a value or an error."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._records = _Records()
        self._warnings: list[warnings.WarningMessage] = []

    def say(self, label: str, value: object = "") -> None:
        """Record the `repr()` of *value*."""
        self.lines.append(f"{label}: {without_incidentals(_shown(value))}")

    def failed(self, label: str, error: BaseException) -> None:
        """Record the classes, errno, causes, notes and attributes of *error*, but not its text."""
        self.lines.append(f"{label}: raises {without_incidentals(describe_error(error))}")

    def call(self, label: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Record what the call returns or raises. Return its result, or None after an error."""
        with self.errors(label):
            result = function(*args, **kwargs)
            self.say(label, result)
            return result
        return None

    def make(self, label: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do the same as `call`, but record only the class of the result: for objects with an unspecified `repr()`."""
        with self.errors(label):
            result = function(*args, **kwargs)
            self.say(label, type(result))
            return result
        return None

    async def wait(self, label: str, awaitable: Awaitable[Any]) -> Any:
        """Record what *awaitable* returns or raises. Return its result, or None after an error."""
        with self.errors(label):
            result = await awaitable
            self.say(label, result)
            return result
        return None

    @contextmanager
    def errors(self, label: str) -> Iterator[None]:
        """Record an exception that leaves the block, and swallow it. Cancellations propagate."""
        try:
            yield
        except BaseException as error:
            self.failed(label, error)
            if not isinstance(error, (Exception, BaseExceptionGroup, KeyboardInterrupt, SystemExit)):
                raise

    def logs(self, label: str = "log", *, at_least: int = logging.WARNING) -> None:
        """Record the log records since the last call: level, logger and class of the exception."""
        records, self._records.records = self._records.records, []
        for record in records:
            if record.levelno >= at_least:
                error = record.exc_info[1] if record.exc_info else None
                about = f" with {describe_error(error)}" if error is not None else ""
                self.lines.append(f"{label}: {record.levelname} {record.name}{without_incidentals(about)}")

    def count_logs(self, label: str) -> None:
        """Record the number of log records of each level since the last call."""
        records, self._records.records = self._records.records, []
        levels = [record.levelname for record in records]
        self.say(label, {level: levels.count(level) for level in ("DEBUG", "INFO", "WARNING", "ERROR")})

    def warned(self, label: str = "warnings") -> None:
        """Record the classes of the warnings since the last call."""
        classes = [warning.category.__name__ for warning in self._warnings]
        self._warnings.clear()
        self.say(label, classes)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Collect log records and warnings."""
        loggers = [logging.getLogger(name) for name in LOGGERS]
        before = [(logger, logger.level, logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
            logger.addHandler(self._records)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._warnings = caught
            try:
                yield
            finally:
                for logger, level, propagate in before:
                    logger.removeHandler(self._records)
                    logger.setLevel(level)
                    logger.propagate = propagate


class _Records(logging.Handler):
    """Store the records that loggers emit."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def describe_error(error: BaseException) -> str:
    """Return the class, errno, group members, attributes, notes and causes of *error*, without texts."""
    parts = [type(error).__name__]
    if isinstance(error, OSError) and error.errno is not None:
        parts.append(f"[{errno.errorcode.get(error.errno, error.errno)}]")
    if isinstance(error, BaseExceptionGroup):
        parts.append(f"({', '.join(describe_error(member) for member in error.exceptions)})")
    if type(error).__module__.partition(".")[0] == "easynetwork":
        parts += [f" {name}={_shown(getattr(error, name))}" for name in _ATTRIBUTES if hasattr(error, name)]
    if notes := getattr(error, "__notes__", None):
        parts.append(f" +{len(notes)} note{'s' if len(notes) > 1 else ''}")
    if (cause := _cause(error)) is not None:
        parts.append(f" <- {describe_error(cause)}")
    return "".join(parts)


def _cause(error: BaseException) -> BaseException | None:
    """Return the cause of *error*. Skip causes that only repeat the error, and trio's internal ones."""
    cause = error.__cause__
    while cause is not None:
        repeated = isinstance(cause, OSError) and isinstance(error, OSError) and cause.errno == error.errno
        if not (repeated and type(cause) is type(error)) and not type(cause).__name__.endswith("ResourceError"):
            break
        cause = cause.__cause__
    return cause


def without_incidentals(text: str) -> str:
    """Replace the parts that differ from run to run: ports, temporary folders, object addresses, automatic names."""
    for pattern, replacement in _INCIDENTALS:
        text = pattern.sub(replacement, text)
    return text


def _shown(value: object) -> str:
    if isinstance(value, BaseException):
        return f"<{describe_error(value)}>"
    if isinstance(value, (bytearray, memoryview)):
        return repr(bytes(value))
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_shown(key)}: {_shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, deque)):
        return f"[{', '.join(_shown(item) for item in value)}]"
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}... ({len(text)} characters)"
