"""The private hooks of backends. See :mod:`easynetwork.lowlevel._hooks` for how they are found."""

from __future__ import annotations

__all__ = ["cancellation_detector", "is_cancelled"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from easynetwork.lowlevel._hooks import find_hook

if TYPE_CHECKING:
    from .abc import AsyncBackend


def cancellation_detector(backend: AsyncBackend) -> Callable[[BaseException], bool]:
    """Return what tells whether an exception, raised in the current task, comes from a cancellation of this very task.

    The exception of another task that was cancelled has the same type. By default, the type decides.
    """
    hook = find_hook(backend, "_hook_is_cancellation")
    if hook is None:
        return lambda exc: isinstance(exc, backend.get_cancelled_exc_class())
    detect: Callable[[BaseException], bool] = hook.__get__(backend)
    return detect


def is_cancelled(backend: AsyncBackend) -> bool:
    """Return whether the current task is cancelled, and is to begin nothing new. By default, nothing is known."""
    hook = find_hook(backend, "_hook_is_cancelled")
    return hook is not None and hook(backend)
