"""Servers in background threads."""

from __future__ import annotations

__all__ = ["NetworkServerThread"]

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Self

from easynetwork.lowlevel._records import log
from easynetwork.servers.abc import AbstractNetworkServer

_logger = logging.getLogger(__name__)


class NetworkServerThread(threading.Thread):
    """A thread that runs a standalone server.

    `start` or `join` raises the error that ends the server. It does not go to `threading.excepthook`.

    Parameters:
        server: runs in the thread, from `start` to `join`. The caller must close it afterwards.
        group: None; see `threading.Thread`.
        name: the name of the thread.
        daemon: whether the thread is a daemon; None means the same as the current thread.
    """

    def __init__(
        self,
        server: AbstractNetworkServer,
        group: None = None,
        name: str | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(group=group, name=name, daemon=daemon)
        self._server = server
        self._is_up_or_has_ended = threading.Event()
        self._has_failed_to_start = False
        self._error: BaseException | None = None  # raised once, by start() or join()
        self._error_lock = threading.Lock()

    def start(self) -> None:
        """Start the thread, and wait until the server accepts clients.

        If the server is shut down first, return too. If the server fails first, wait until the thread has ended, then
        raise the error.

        Raises:
            RuntimeError: the thread was already started.
            BaseException: any error that ``serve_forever()`` raised before the server accepted clients.
        """
        if self.ident is None:
            # Wrap run() from outside: a subclass may override it and fail outside this class's version.
            self.run = partial(self._keep_error, type(self).run)  # type: ignore[method-assign]
        super().start()
        self._is_up_or_has_ended.wait()
        if self._has_failed_to_start:
            super().join()
            self._raise_error()

    def run(self) -> None:
        """Run the server until it is shut down. The thread calls this method."""
        self._server.serve_forever(is_up_event=self._is_up_or_has_ended)

    def _keep_error(self, run: Callable[[Self], None]) -> None:
        try:
            run(self)
        except BaseException as exc:
            self._error = exc
            if self._is_up_or_has_ended.is_set():
                # The caller may call join() much later, or never.
                log(_logger, logging.ERROR, "%s: the server failed, join() raises the error: %r", self.name, exc)
            else:
                self._has_failed_to_start = True
        finally:
            self._is_up_or_has_ended.set()
            del self.run  # break the reference cycle with the thread

    def join(self, timeout: float | None = None) -> None:
        """Shut down the server, then wait for the end of the thread. May be called repeatedly.

        An error that ends the server after `start` has returned is logged immediately, in one line. The first `join`
        that sees the end of the thread raises it.

        Parameters:
            timeout: the time limit for both steps together, in seconds; None for no limit. Check `is_alive` to see
                whether the thread has ended.

        Raises:
            RuntimeError: the thread was not started.
            BaseException: any error that ended ``serve_forever()``, including ``SystemExit``.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._server.shutdown(timeout)
        super().join(None if deadline is None else max(deadline - time.monotonic(), 0.0))
        if not self.is_alive():
            self._raise_error()

    def _raise_error(self) -> None:
        with self._error_lock:
            error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # break the reference cycle with its traceback
