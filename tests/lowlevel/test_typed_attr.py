from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.typed_attr import TypedAttributeProvider, TypedAttributeSet, typed_attribute


class Attribute(TypedAttributeSet):
    known: int = typed_attribute()
    absent: int = typed_attribute()
    broken: int = typed_attribute()
    unknown: int = typed_attribute()


class Provider(TypedAttributeProvider):
    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        def absent() -> Any:
            raise TypedAttributeLookupError("not now")

        return {Attribute.known: lambda: 42, Attribute.absent: absent, Attribute.broken: lambda: 1 // 0}


def test_each_key_is_unique() -> None:
    assert len({typed_attribute() for _ in range(100)}) == 100


def test_public_attributes_need_an_annotation() -> None:
    with pytest.raises(TypeError, match="forgotten"):

        class Bad(TypedAttributeSet):
            forgotten = typed_attribute()

    class Good(TypedAttributeSet):
        _private = 1
        known: int = typed_attribute()

    class Narrowed(Good):
        known: bool

    assert Narrowed.known is Good.known


@pytest.mark.parametrize("default", [None, 0, "default", Attribute.known])
def test_a_known_value_wins_over_the_default(default: object) -> None:
    assert Provider().extra(Attribute.known) == 42
    assert Provider().extra(Attribute.known, default) == 42


@pytest.mark.parametrize("key", [Attribute.unknown, Attribute.absent])
@pytest.mark.parametrize("default", [None, 0, "default"])
def test_without_a_value_the_default_is_returned_or_an_error_raised(key: Any, default: object) -> None:
    with pytest.raises(TypedAttributeLookupError):
        Provider().extra(key)
    assert Provider().extra(key, default) is default


def test_another_error_propagates_even_with_a_default() -> None:
    with pytest.raises(ZeroDivisionError):
        Provider().extra(Attribute.broken)
    with pytest.raises(ZeroDivisionError):
        Provider().extra(Attribute.broken, None)


def test_a_provider_knows_nothing_by_default() -> None:
    assert dict(TypedAttributeProvider().extra_attributes) == {}
    assert TypedAttributeProvider().extra(Attribute.known, None) is None
