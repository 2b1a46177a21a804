"""Locks that a child process does not find locked."""

from __future__ import annotations

__all__ = ["renew_locks_after_fork"]

import os
import weakref
from typing import Protocol


class _LockOwner(Protocol):
    def _renew_locks(self) -> None: ...


# By id, not a set: a subclass that a user has written may compare by value, and have no hash.
_owners: weakref.WeakValueDictionary[int, _LockOwner] = weakref.WeakValueDictionary()


def renew_locks_after_fork(owner: _LockOwner) -> None:
    """Has ``owner._renew_locks()`` called in each child process that :manpage:`fork(2)` makes.

    The threads which may hold the old locks do not exist there: nobody would ever release them.
    """
    _owners[id(owner)] = owner


def _renew_all() -> None:
    for owner in list(_owners.values()):
        owner._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
