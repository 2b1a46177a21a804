"""Accepting connections, and what to do if that fails."""

from __future__ import annotations

__all__ = ["accept_connections"]

import logging
import socket as _socket
from collections.abc import Callable
from typing import Final

from ._records import log
from .constants import ACCEPT_CAPACITY_ERRNOS, ACCEPT_CAPACITY_ERROR_SLEEP_TIME, IGNORABLE_ACCEPT_ERRNOS

_logger = logging.getLogger(__name__)

_BATCH: Final = 64
"""How many connections are accepted before everything else gets its turn."""


def accept_connections(listening: _socket.socket, connected: Callable[[_socket.socket], object]) -> float:
    """Hands the connections that wait, many of them at most, to *connected*. What that raises is logged.

    Parameters:
        listening: a non-blocking socket.
        connected: gets the socket of a connection, non-blocking. It owns it, unless it raises.

    Returns:
        How many seconds not to accept anything: the system is short of something, and that was logged.

    Raises:
        OSError: nothing can be accepted any more.
    """
    for _ in range(_BATCH):
        try:
            connection, _ = listening.accept()
        except (BlockingIOError, InterruptedError):
            break
        except OSError as exc:
            if exc.errno in ACCEPT_CAPACITY_ERRNOS:
                delay = ACCEPT_CAPACITY_ERROR_SLEEP_TIME
                log(_logger, logging.ERROR, "accept() has failed: %s. Trying again in %g seconds", exc, delay)
                return delay
            if exc.errno not in IGNORABLE_ACCEPT_ERRNOS:
                raise
        else:
            try:
                connection.setblocking(False)
                connected(connection)
            except Exception as exc:
                log(_logger, logging.ERROR, "An accepted connection could not be set up: %r", connection, exc_info=exc)
                connection.close()
    return 0
