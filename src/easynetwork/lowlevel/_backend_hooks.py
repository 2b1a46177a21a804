"""Find the private hooks of backends. :mod:`easynetwork.lowlevel._hooks` explains the lookup."""

from __future__ import annotations

__all__ = ["cancellation_detector", "is_cancelled"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from easynetwork.lowlevel._hooks import find_hook

if TYPE_CHECKING:
    from .api_async.backend.abc import AsyncBackend


def cancellation_detector(backend: AsyncBackend) -> Callable[[BaseException], bool]:
    """Return a predicate: does an exception raised in the current task come from a cancellation of that task?

    The exception type alone does not answer this: awaiting another task that was cancelled raises the same type.
    Without a hook, the predicate checks only the type.
    """
    hook = find_hook(backend, "_hook_is_cancellation")
    if hook is None:
        return lambda exc: isinstance(exc, backend.get_cancelled_exc_class())
    detect: Callable[[BaseException], bool] = hook.__get__(backend)
    return detect


def is_cancelled(backend: AsyncBackend) -> bool:
    """Return whether the current task is cancelled and must not start new work. Without a hook, return false."""
    hook = find_hook(backend, "_hook_is_cancelled")
    return hook is not None and hook(backend)
