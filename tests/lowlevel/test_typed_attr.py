"""Typed attributes."""

from __future__ import annotations

import sys
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


def test_an_annotation_of_the_base_class_does_not_count() -> None:
    with pytest.raises(TypeError, match="known"):

        class Bad(Attribute):
            known = typed_attribute()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations were evaluated at once before PEP 649")
def test_types_need_not_exist_at_run_time() -> None:
    source = "class Keys(TypedAttributeSet):\n    key: OnlyForTheTypeChecker = typed_attribute()"
    namespace: dict[str, Any] = {"TypedAttributeSet": TypedAttributeSet, "typed_attribute": typed_attribute}
    exec(compile(source, "<keys>", "exec", dont_inherit=True), namespace)
    assert namespace["Keys"].key is not None


def test_keyword_arguments_of_a_class_reach_the_other_base_classes() -> None:
    received: list[object] = []

    class Mixin:
        def __init_subclass__(cls, *, color: str, **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            received.append(color)

    class Both(TypedAttributeSet, Mixin, color="red"):
        key: int = typed_attribute()

    assert received == ["red"]


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


def test_the_keys_of_a_wrapper_win_over_those_of_what_it_wraps() -> None:
    class Wrapper(TypedAttributeProvider):
        @property
        def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
            return {**Provider().extra_attributes, Attribute.absent: lambda: -1}

    assert Wrapper().extra(Attribute.known) == 42
    assert Wrapper().extra(Attribute.absent, None) == -1


def test_values_are_asked_for_at_each_call() -> None:
    values = iter([1, 2])

    class Changing(TypedAttributeProvider):
        @property
        def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
            return {Attribute.known: lambda: next(values)}

    provider = Changing()
    assert [provider.extra(Attribute.known), provider.extra(Attribute.known)] == [1, 2]


def test_a_provider_knows_nothing_by_default() -> None:
    assert dict(TypedAttributeProvider().extra_attributes) == {}
    assert TypedAttributeProvider().extra(Attribute.known, None) is None
