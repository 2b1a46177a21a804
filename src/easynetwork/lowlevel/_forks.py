"""Locks that are never held in a forked child process."""

from __future__ import annotations

__all__ = ["ForkSafeLock"]

import os
import threading
import weakref


class ForkSafeLock:
    """Hold a reentrant lock, and replace it with a new one in each child process of :manpage:`fork(2)`.

    The child has only the thread that forked. A lock held by another thread would never be released there.
    """

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Replace the lock with a free one."""
        self.lock = threading.RLock()
        """The current lock. Look it up for each use: a fork replaces it."""

    def get(self) -> threading.RLock:
        """Return the lock."""
        return self.lock


_all: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
