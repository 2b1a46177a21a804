"""Threads: run functions in them, and accept calls from them."""

from __future__ import annotations

__all__ = ["TrioThreadsPortal", "run_in_thread"]

import contextvars
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import trio

from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.backend._threads_portal import CallablePortal

from .scopes import ignore_cancellation

_T = TypeVar("_T")

_logger = logging.getLogger(__name__)


async def run_in_thread(call: Callable[[], _T], *, abandon_on_cancel: bool) -> _T:
    """Run *call* in a worker thread. It gets a copy of the context, in which `sniffio` reports no library."""
    calling = trio.to_thread.run_sync(call, abandon_on_cancel=abandon_on_cancel)
    # Without the shield, trio would not start the thread inside a cancelled scope.
    return await (calling if abandon_on_cancel else ignore_cancellation(calling))


class TrioThreadsPortal(CallablePortal):
    """A portal that uses a `trio.lowlevel.TrioToken`."""

    __slots__ = ("_token",)

    LIBRARY = None  # trio sets the thread-local name of `sniffio` itself

    _token: trio.lowlevel.TrioToken

    def _attach(self) -> None:
        self._token = trio.lowlevel.current_trio_token()

    def _call_soon(self, func: Callable[[], object], context: contextvars.Context) -> None:
        self._token.run_sync_soon(context.run, func)

    def _is_loop_thread(self) -> bool:
        try:
            return trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:  # trio does not run in this thread
            return False

    def _report(self, message: str, exc: BaseException) -> None:
        log(_logger, logging.ERROR, message, exc_info=exc)

    def _call_block(self) -> AbstractContextManager[trio.CancelScope]:
        return trio.CancelScope()
