"""Classes that cannot be subclassed at runtime."""

from __future__ import annotations

__all__ = ["refuse_subclasses"]

from typing import Any, NoReturn, TypeVar

_T_Class = TypeVar("_T_Class", bound=type[Any])


def refuse_subclasses(cls: _T_Class) -> _T_Class:
    """Make the definition of a subclass of *cls* raise `TypeError` from now on. Usable as a class decorator.

    To close a hierarchy, call this function on its root after all its classes are defined.
    """

    def refuse(subclass: type[Any], /, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{subclass.__name__} cannot inherit from {cls.__name__}, which is final")

    cls.__init_subclass__ = classmethod(refuse)  # type: ignore[assignment]  # mypy wants the signature of object
    return cls
