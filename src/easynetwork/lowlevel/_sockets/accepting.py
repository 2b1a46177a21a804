"""Accept connections and handle failures of accept(2)."""

from __future__ import annotations

__all__ = ["ConnectionSource", "log_setup_failure"]

import logging
import socket as _socket
import time
from collections.abc import Callable
from typing import Final

from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.constants import (
    ACCEPT_CAPACITY_ERRNOS,
    ACCEPT_CAPACITY_ERROR_SLEEP_TIME,
    IGNORABLE_ACCEPT_ERRNOS,
)

from .calls import count_waiting_connections

_logger = logging.getLogger(__name__)


_REPORT_INTERVAL: Final = 5.0
"""Minimum number of seconds between two log records about a shortage, which may last for hours."""


class ConnectionSource:
    """A listening socket to accept connections from. It reports a shortage of descriptors or memory.

    Parameters:
        listening: a non-blocking socket. The caller keeps ownership.
        connected: called with the non-blocking socket of each connection. It owns the socket unless it raises.
    """

    __slots__ = ("_connected", "_failures", "_listening", "_next_report")

    def __init__(self, listening: _socket.socket, connected: Callable[[_socket.socket], object]) -> None:
        self._listening = listening
        self._connected = connected
        self._failures = 0  # since the last report
        self._next_report = 0.0

    def accept(self) -> float:
        """Accept up to `STEPS_PER_TURN` pending connections. Pass each to *connected*, and log its exceptions.

        Returns:
            The number of seconds to pause. It is above 0 if the system lacks resources; the connections stay queued.

        Raises:
            OSError: the listener cannot accept connections any more.
        """
        for _ in range(STEPS_PER_TURN):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as exc:
                if delay := self.delay_after(exc):
                    return delay
            else:
                try:
                    connection.setblocking(False)
                    self._connected(connection)
                except Exception as exc:
                    log_setup_failure(connection, exc)
                    connection.close()
        return 0

    def delay_after(self, exc: Exception) -> float:
        """Return the number of seconds to pause after accept(2) failed with *exc*. Raise *exc* if it will always fail.

        The number is above 0 if the system lacks resources, which is reported. The connections stay queued.
        """
        if isinstance(exc, OSError):
            if exc.errno in ACCEPT_CAPACITY_ERRNOS:
                self._count_failure(exc)
                return ACCEPT_CAPACITY_ERROR_SLEEP_TIME
            if exc.errno in IGNORABLE_ACCEPT_ERRNOS:
                return 0
        raise exc

    def _count_failure(self, exc: OSError) -> None:
        waiting = count_waiting_connections(self._listening)
        if waiting == 0:  # Linux looks for a free descriptor first
            return
        self._failures += 1
        now = time.monotonic()
        if now < self._next_report:
            return
        times = f" {self._failures} times since the last report" if self._failures > 1 else ""
        log(
            _logger,
            logging.ERROR,
            "accept() failed%s: %s. %sRetrying every %g seconds",
            times,
            exc,
            f"Connections waiting: {waiting}. " if waiting else "",
            ACCEPT_CAPACITY_ERROR_SLEEP_TIME,
        )
        self._failures = 0
        self._next_report = now + _REPORT_INTERVAL


def log_setup_failure(connection: _socket.socket, exc: Exception) -> None:
    """Log that an accepted connection could not be set up. The caller closes its socket."""
    log(_logger, logging.ERROR, "%r: cannot set up the accepted connection", connection, exc_info=exc)
