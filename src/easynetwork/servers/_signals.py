"""Handlers of signals for a limited time."""

from __future__ import annotations

__all__ = ["handling", "reloading_at_hangup"]

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from easynetwork.lowlevel._records import Logger, log


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


@contextmanager
def reloading_at_hangup(reload: Callable[[], None], logger: Logger) -> Iterator[None]:
    """At each SIGHUP, call *reload*, which makes a TLS context and uses it, in a thread. Log whether it could.

    Calls do not overlap, and the last one begins after the last signal. At the end, a call in progress is not awaited.
    Do nothing in a thread other than the main thread, and where SIGHUP does not exist.
    """
    number: int | None = getattr(signal, "SIGHUP", None)
    if number is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    # A handler may call the methods of this queue only: it interrupts any code, also code that holds a lock.
    signals: queue.SimpleQueue[bool] = queue.SimpleQueue()
    thread = threading.Thread(target=_reload_for_each, args=(signals, reload, logger), name="reload TLS", daemon=True)
    thread.start()
    try:
        with handling([number], lambda *_: signals.put(True)):
            yield
    finally:
        signals.put(False)


def _reload_for_each(signals: queue.SimpleQueue[bool], reload: Callable[[], None], logger: Logger) -> None:
    while signals.get():
        try:
            while signals.get_nowait():  # one call is enough for signals that have come by now
                pass
            return
        except queue.Empty:
            pass
        try:
            reload()
        except BaseException as exc:  # of the user's function, also `SystemExit`, which would end only this thread
            log(logger, logging.ERROR, "SIGHUP: the server keeps its TLS context, as it got no new one", exc_info=exc)
        else:
            log(logger, logging.INFO, "SIGHUP: new connections use the new TLS context")
