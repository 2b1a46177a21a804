"""Servers in the background."""

from __future__ import annotations

__all__ = ["NetworkServerThread"]

import threading
import time

from easynetwork.servers.abc import AbstractNetworkServer


class NetworkServerThread(threading.Thread):
    """A thread that runs a standalone server.

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

    def start(self) -> None:
        """Starts the thread, and waits until the server accepts clients or has failed.

        A failure goes to `threading.excepthook`, as in any thread.

        Raises:
            RuntimeError: the thread was started before.
        """
        super().start()
        self._is_up_or_has_ended.wait()

    def run(self) -> None:
        """Runs the server until it is shut down."""
        try:
            self._server.serve_forever(is_up_event=self._is_up_or_has_ended)
        finally:
            self._is_up_or_has_ended.set()

    def join(self, timeout: float | None = None) -> None:
        """Shuts the server down, then waits for the end of the thread. May be called any number of times.

        Parameters:
            timeout: longest time to wait for both, in seconds; None for ever. See `is_alive` for what has become of it.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._server.shutdown(timeout)
        super().join(None if deadline is None else max(deadline - time.monotonic(), 0.0))
