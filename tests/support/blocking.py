"""Blocking calls under test: in threads, with a record of their waits, and with a limit on their duration."""

from __future__ import annotations

__all__ = ["PATIENCE", "InThread", "Waits", "receive_exactly"]

import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar

from tests.support.sockets import PATIENCE

_T = TypeVar("_T")


class InThread(Generic[_T]):
    """A call that runs in its own thread."""

    def __init__(self, function: Callable[..., _T], *args: Any, **kwargs: Any) -> None:
        self._call: Callable[[], _T] = partial(function, *args, **kwargs)
        self._outcome: _T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._call()
        except BaseException as exc:
            self._error = exc

    def is_running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> _T:
        """Return the result, or raise what the call has raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the call does not return"
        if self._error is not None:
            raise self._error
        return self._outcome  # type: ignore[return-value]  # None only if the function returns it

    def error(self) -> BaseException | None:
        """Return the error of the call, or None."""
        try:
            self.result()
        except BaseException as exc:
            return exc
        return None


class Waits:
    """A selector factory that records when its selectors wait, and with which time-out."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []
        self._started = threading.Semaphore(0)

    def __call__(self) -> selectors.BaseSelector:
        return _ObservedSelector(self)

    def note(self, timeout: float | None) -> None:
        self.timeouts.append(timeout)
        self._started.release()

    def wait_for_start(self) -> None:
        """Wait until one more wait is about to begin."""
        assert self._started.acquire(timeout=PATIENCE), "no selector waits"


class _ObservedSelector(selectors.BaseSelector):
    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        # select(2) for writing is not woken up by the other end of a shutdown, poll(2) is.
        self._selector = selectors.PollSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._waits.note(timeout)
        return self._selector.select(timeout)

    def close(self) -> None:
        self._selector.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._selector.get_map()


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Return the next *size* bytes, or those before the end of the stream."""
    received = bytearray()
    while len(received) < size and (chunk := sock.recv(1 << 16)):
        received += chunk
    return bytes(received)
