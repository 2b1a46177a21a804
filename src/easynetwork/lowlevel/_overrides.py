"""Which of our methods a user has replaced: by a subclass, by an attribute of the object, or by a mock."""

from __future__ import annotations

__all__ = ["is_overridden", "provider"]

from collections.abc import Callable
from typing import Any


def is_overridden(obj: object, method: Callable[..., Any]) -> bool:
    """Return whether *obj* has something else under the name of *method*, a function as our class defines it."""
    return getattr(getattr(obj, method.__name__), "__func__", None) is not method


def provider(obj: object, name: str) -> type[Any] | None:
    """Return the class that *obj* has its method *name* from.

    None if no class defines it: it is an attribute of the object itself, or *obj* is a mock.
    """
    if name in getattr(obj, "__dict__", ()):
        return None
    return next((cls for cls in type(obj).__mro__ if name in vars(cls)), None)
