"""Typed attributes: information about a connection, looked up by a key whose annotation is the type of the value.

Keys are the attributes of a class::

    class ConnectionAttribute(TypedAttributeSet):
        peer_name: str = typed_attribute()

    transport.extra(ConnectionAttribute.peer_name)
"""

from __future__ import annotations

__all__ = ["TypedAttributeProvider", "TypedAttributeSet", "typed_attribute"]

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, final, overload

from easynetwork.exceptions import TypedAttributeLookupError

_T_Attr = TypeVar("_T_Attr")
_T_Default = TypeVar("_T_Default")

_NO_DEFAULT: Final = object()


def typed_attribute() -> Any:
    """Return a new unique key."""
    return object()


class TypedAttributeSet:
    """Base class for groups of keys. Each public attribute needs an annotation."""

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        annotations = _own_annotations(cls)
        for name in vars(cls):
            if not name.startswith("_") and name not in annotations:
                raise TypeError(f"Attribute {name!r} of {cls.__name__} has no annotation")


def _own_annotations(cls: type) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        # Since PEP 649, reading __annotations__ evaluates them, which fails for names imported for type checking only.
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


class TypedAttributeProvider:
    """Base class for objects with typed attributes."""

    __slots__ = ()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Map each supported key to a function that returns its value.

        The function may raise `TypedAttributeLookupError` if there is no value at present.
        """
        return {}

    @overload
    def extra(self, attribute: _T_Attr) -> _T_Attr: ...

    @overload
    def extra(self, attribute: _T_Attr, default: _T_Default) -> _T_Attr | _T_Default: ...

    @final
    def extra(self, attribute: Any, default: object = _NO_DEFAULT) -> object:
        """Return the value of *attribute*.

        Parameters:
            attribute: a key.
            default: returned if there is no value.

        Raises:
            TypedAttributeLookupError: there is no value and no *default*.
        """
        try:
            get_value = self.extra_attributes.get(attribute)
            if get_value is None:
                raise TypedAttributeLookupError("The object does not support this attribute")
            return get_value()
        except TypedAttributeLookupError:
            if default is _NO_DEFAULT:
                raise
            return default
