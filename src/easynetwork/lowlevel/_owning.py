"""Who is given something to own closes it, also if the arguments are refused."""

from __future__ import annotations

__all__ = ["closed_on_failure"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class _Closeable(Protocol):
    def close(self) -> object: ...


@contextmanager
def closed_on_failure(resource: _Closeable) -> Iterator[None]:
    """Closes *resource* if the body of the ``with`` statement raises."""
    try:
        yield
    except BaseException:
        resource.close()
        raise
