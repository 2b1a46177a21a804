"""Classes that refuse at runtime to be inherited from."""

from __future__ import annotations

__all__ = ["refuse_subclasses"]

from typing import Any, NoReturn, TypeVar

_T_Class = TypeVar("_T_Class", bound=type[Any])


def refuse_subclasses(cls: _T_Class) -> _T_Class:
    """A class decorator: from now on, defining a subclass of *cls* raises `TypeError`.

    For a hierarchy that ends in a module of ours, call it on the root when all its classes are defined.
    """

    def refuse(subclass: type[Any], /, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{subclass.__name__} cannot inherit from {cls.__name__}, which is final")

    cls.__init_subclass__ = classmethod(refuse)  # type: ignore[assignment]  # mypy expects the signature of object
    return cls
