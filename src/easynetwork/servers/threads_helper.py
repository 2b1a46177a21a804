"""Servers in the background."""

from __future__ import annotations

__all__ = ["NetworkServerThread"]

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Self

from easynetwork.servers.abc import AbstractNetworkServer

_logger = logging.getLogger(__name__)


class NetworkServerThread(threading.Thread):
    """A thread that runs a standalone server.

    What ends the server too early comes out of `start` or of `join`, and does not go to `threading.excepthook`.

    Parameters:
        server: runs in the thread, from `start` to `join`. Close it once it is not needed any more.
        group: None; see `threading.Thread`.
        name: name of the thread.
        daemon: whether the thread is a daemon; None for the same as the current one.
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
        self._error: BaseException | None = None  # to be raised, once
        self._error_lock = threading.Lock()

    def start(self) -> None:
        """Start the thread, and wait until the server accepts clients.

        Return as well if the server is shut down before it accepts any. If it fails before that, the thread has ended
        when the error is raised.

        Raises:
            RuntimeError: the thread was started before.
            BaseException: what ended the server before it accepted clients: whatever `serve_forever` raised.
        """
        if self.ident is None:
            # Around run(), not within it: a subclass may override it, and fail outside of ours.
            self.run = partial(self._keep_error, type(self).run)  # type: ignore[method-assign]
        super().start()
        self._is_up_or_has_ended.wait()
        if self._has_failed_to_start:
            super().join()
            self._raise_error()

    def run(self) -> None:
        """Run the server until it is shut down. Called by the thread that `start` starts."""
        self._server.serve_forever(is_up_event=self._is_up_or_has_ended)

    def _keep_error(self, run: Callable[[Self], None]) -> None:
        try:
            run(self)
        except BaseException as exc:
            self._error = exc
            if self._is_up_or_has_ended.is_set():
                # join() may be called much later, or never.
                _logger.error("%s: the server has failed, join() raises the error: %r", self.name, exc)
            else:
                self._has_failed_to_start = True
        finally:
            self._is_up_or_has_ended.set()
            del self.run  # it refers to the thread

    def join(self, timeout: float | None = None) -> None:
        """Shut the server down, then wait for the end of the thread. May be called any number of times.

        An error that ends the server after `start` has returned is logged in one line when it happens. The first
        `join` that sees the thread end raises it.

        Parameters:
            timeout: longest time to wait for both, in seconds; None for no limit. `is_alive` tells whether the thread
                has ended.

        Raises:
            RuntimeError: the thread was not started.
            BaseException: what ended the server: whatever `serve_forever` raised, ``SystemExit`` included.
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
                del error  # its traceback refers to this frame
