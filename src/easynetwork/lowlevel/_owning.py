"""Close an owned resource if setting up its owner fails."""

from __future__ import annotations

__all__ = ["closed_on_failure"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class _Closeable(Protocol):
    def close(self) -> object: ...


@contextmanager
def closed_on_failure(resource: _Closeable) -> Iterator[None]:
    """Close *resource* if the body of the ``with`` statement raises an exception."""
    try:
        yield
    except BaseException:
        resource.close()
        raise
