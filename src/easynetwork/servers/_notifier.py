"""What a standalone server tells its service manager."""

from __future__ import annotations

__all__ = ["Notifier"]

import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from easynetwork.lowlevel._records import log
from easynetwork.servers import systemd
from easynetwork.servers._background import in_background
from easynetwork.servers.abc import SupportsEventSet

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class Notifier:
    """Tells the service manager about one run of a server, if there is a manager (``NOTIFY_SOCKET``).

    Call all methods but `reloading` in the thread of the event loop. They raise no errors of the manager: it must not
    stop a server.

    Parameters:
        logger: receives a warning about the first message that cannot be sent.
    """

    __slots__ = ("_has_failed", "_is_on", "_is_ready", "_logger")

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._is_on = bool(os.environ.get("NOTIFY_SOCKET"))
        self._has_failed = False
        self._is_ready = False  # between READY=1 and STOPPING=1

    def _send(self, state: str, timeout: float = systemd._SEND_TIMEOUT) -> None:
        if not self._is_on:
            return
        try:
            _ = systemd._send(state, timeout)
        except (OSError, ValueError) as exc:
            self._warn("The service manager cannot be notified: %s", exc)

    def _warn(self, message: str, *args: object) -> None:
        if not self._has_failed:
            self._has_failed = True
            log(self._logger, logging.WARNING, message, *args)

    def telling(self, is_up_event: SupportsEventSet | None) -> SupportsEventSet | None:
        """Return an event whose `set` calls `ready`, and that of *is_up_event*."""
        return _Up(self, is_up_event) if self._is_on else is_up_event

    def ready(self) -> None:
        """The server accepts clients."""
        self._is_ready = True
        self._send("READY=1")

    def stopping(self) -> None:
        """The server has begun to stop. Only the first call sends something.

        A server that was never ready does not stop: its program may try again.
        """
        if self._is_ready:
            self._is_ready = False
            self._send("STOPPING=1")

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell that the server reloads its configuration during the block, and is ready again after it.

        It is ready also if the block raises an exception: then it goes on with the old configuration.
        """
        if not self._is_ready:
            yield
            return
        # Type=notify-reload compares this time with that of its signal, in CLOCK_MONOTONIC.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            if self._is_ready:
                self._send("READY=1")

    def watched(self, backend: AsyncBackend) -> AbstractAsyncContextManager[None]:
        """Prove during the block that the event loop runs, if the manager wants it. See `_interval`."""
        interval = self._interval()
        return nullcontext() if interval is None else in_background(backend, partial(self._beat, backend, interval))

    async def _beat(self, backend: AsyncBackend, interval: float) -> NoReturn:
        # A task, not a thread: an event loop that is blocked must look so.
        while True:
            await backend.sleep(interval)
            self._send("WATCHDOG=1", timeout=0)  # if the manager does not read, the event loop must not wait for it

    def _interval(self) -> float | None:
        """Return half of the time after which the manager misses a sign of life, in seconds. None if it misses none.

        See :manpage:`sd_watchdog_enabled(3)`.
        """
        text, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
        if not self._is_on or not text or (pid and pid != str(os.getpid())):
            return None
        if not (text.isascii() and text.isdigit() and int(text)):
            self._warn("WATCHDOG_USEC is not a number of microseconds: %r", text)
            return None
        return int(text) / 1_000_000 / 2


class _Up:
    __slots__ = ("_event", "_notifier")

    def __init__(self, notifier: Notifier, event: SupportsEventSet | None) -> None:
        self._notifier = notifier
        self._event = event

    def set(self) -> None:
        self._notifier.ready()
        if self._event is not None:
            self._event.set()
