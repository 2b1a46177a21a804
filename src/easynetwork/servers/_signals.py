"""Handlers of signals for a limited time."""

from __future__ import annotations

__all__ = ["handling"]

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType


@contextmanager
def handling(signals: Iterable[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Make *handler* the handler of *signals*, also of those that are ignored. Restore the old handlers at the end.

    Do nothing in a thread other than the main thread: Python handles signals in that thread only.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for number in signals:
                old = signal.signal(number, handler)
                stack.callback(signal.signal, number, signal.SIG_DFL if old is None else old)
        yield
