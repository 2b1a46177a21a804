"""Log records about limits, and a limited number of records about clients."""

from __future__ import annotations

__all__ = ["LimitLog", "PeerLogger"]

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from easynetwork.lowlevel._records import log


class LimitLog:
    """Counts what was over a limit, by the name of the limit. Logs the numbers once per interval.

    Parameters:
        logger: receives the records.
        interval: number of seconds between two records.
        has_news: called when something is counted.
    """

    def __init__(self, logger: logging.Logger, interval: float, has_news: Callable[[], object]) -> None:
        self._logger = logger
        self._interval = interval
        self._has_news = has_news
        self._counts: Counter[str] = Counter()  # since the last record
        self.totals: Counter[str] = Counter()
        """How often each limit was exceeded, since the beginning."""
        self._next = 0.0  # when the next record may be written

    def count(self, limit: str) -> None:
        """Note that something was over *limit*."""
        self._counts[limit] += 1
        self.totals[limit] += 1
        self._has_news()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be logged."""
        return not self._counts

    def write_if_due(self) -> None:
        """Write a record, if there is something to log and the last record is old enough."""
        if self._counts and time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write a record, if there is something to log."""
        if not self._counts:
            return
        numbers = ", ".join(f"{limit}: {count}" for limit, count in sorted(self._counts.items()))
        level = logging.INFO if self._counts.keys() <= {"idle_timeout"} else logging.WARNING  # idle clients are usual
        self._counts.clear()
        self._next = time.monotonic() + self._interval
        log(self._logger, level, "Over the limits: %s", numbers)


class PeerLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger of records about clients that passes on a limited number per interval.

    Parameters:
        logger: receives the records.
        number: number of records per interval.
        interval: in seconds.
        limit_log: counts the records that are left out.
    """

    def __init__(self, logger: logging.Logger, number: int, interval: float, limit_log: LimitLog) -> None:
        super().__init__(logger)
        self._number = number
        self._interval = interval
        self._limit_log = limit_log
        self._left = 0  # number of records that may still be written in this interval
        self._end = 0.0  # of this interval

    def log(self, level: int, msg: object, *args: object, stacklevel: int = 1, **options: Any) -> None:
        if not self.isEnabledFor(level):
            return
        now = time.monotonic()
        if now >= self._end:
            self._end = now + self._interval
            self._left = self._number
        if self._left:
            self._left -= 1
            self.logger.log(level, msg, *args, stacklevel=stacklevel + 1, **options)
        else:
            self._limit_log.count("log_records")
