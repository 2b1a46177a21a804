"""Detect which of our methods a subclass, an instance attribute or a mock replaces."""

from __future__ import annotations

__all__ = ["is_overridden", "provider"]

from collections.abc import Callable
from typing import Any


def is_overridden(obj: object, method: Callable[..., Any]) -> bool:
    """Return whether *obj* replaces *method*, a function defined in our class."""
    return getattr(getattr(obj, method.__name__), "__func__", None) is not method


def provider(obj: object, name: str) -> type[Any] | None:
    """Return the class from which *obj* gets its method *name*.

    Return None if no class defines it: it is an attribute of the object itself, or *obj* is a mock.
    """
    if name in getattr(obj, "__dict__", ()):
        return None
    return next((cls for cls in type(obj).__mro__ if name in vars(cls)), None)
