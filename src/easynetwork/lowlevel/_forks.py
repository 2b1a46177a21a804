"""Locks that a child process does not find locked."""

from __future__ import annotations

__all__ = ["ForkSafeLock"]

import os
import threading
import weakref


class ForkSafeLock:
    """Has a reentrant lock, and a new one in each child process that :manpage:`fork(2)` makes.

    The threads which may hold the old one do not exist there: nobody would ever release it.
    """

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Replaces the lock by a free one."""
        self.lock = threading.RLock()
        """Not to be kept for longer than it is held."""

    def get(self) -> threading.RLock:
        """Returns the lock."""
        return self.lock


_all: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_all):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
