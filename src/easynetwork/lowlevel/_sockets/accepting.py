"""Accepting connections, and what to do if that fails."""

from __future__ import annotations

__all__ = ["ConnectionSource"]

import logging
import socket as _socket
import time
from collections.abc import Callable
from typing import Final

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.constants import (
    ACCEPT_CAPACITY_ERRNOS,
    ACCEPT_CAPACITY_ERROR_SLEEP_TIME,
    IGNORABLE_ACCEPT_ERRNOS,
)

from .calls import count_waiting_connections

_logger = logging.getLogger(__name__)

_BATCH: Final = 64
"""How many connections are accepted before everything else gets its turn."""

_REPORT_INTERVAL: Final = 5.0
"""Seconds between two log records about the same shortage. It may last for hours."""


class ConnectionSource:
    """Accepts connections from a listening socket, and reports a shortage of descriptors or memory.

    Parameters:
        listening: a non-blocking socket. It stays with the caller.
        connected: gets the socket of each connection, non-blocking. It owns it, unless it raises.
    """

    __slots__ = ("_connected", "_failures", "_listening", "_next_report")

    def __init__(self, listening: _socket.socket, connected: Callable[[_socket.socket], object]) -> None:
        self._listening = listening
        self._connected = connected
        self._failures = 0  # since the last report
        self._next_report = 0.0

    def accept(self) -> float:
        """Hand the waiting connections, many of them at most, to *connected*. What that raises is logged.

        Returns:
            How many seconds not to accept anything: the system is short of something, and the connections wait.

        Raises:
            OSError: nothing can be accepted any more.
        """
        for _ in range(_BATCH):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as exc:
                if exc.errno in ACCEPT_CAPACITY_ERRNOS:
                    self._count_failure(exc)
                    return ACCEPT_CAPACITY_ERROR_SLEEP_TIME
                if exc.errno not in IGNORABLE_ACCEPT_ERRNOS:
                    raise
            else:
                try:
                    connection.setblocking(False)
                    self._connected(connection)
                except Exception as exc:
                    log(
                        _logger,
                        logging.ERROR,
                        "An accepted connection could not be set up: %r",
                        connection,
                        exc_info=exc,
                    )
                    connection.close()
        return 0

    def _count_failure(self, exc: OSError) -> None:
        self._failures += 1
        now = time.monotonic()
        if now < self._next_report:
            return
        times = f" {self._failures} times since the last report" if self._failures > 1 else ""
        waiting = count_waiting_connections(self._listening)
        log(
            _logger,
            logging.ERROR,
            "accept() has failed%s: %s. %sTrying again every %g seconds",
            times,
            exc,
            f"Connections waiting: {waiting}. " if waiting else "",
            ACCEPT_CAPACITY_ERROR_SLEEP_TIME,
        )
        self._failures = 0
        self._next_report = now + _REPORT_INTERVAL
