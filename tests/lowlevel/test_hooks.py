"""How private hooks are found: on the type of an object, and only if no documented method is overridden below them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import easynetwork
from easynetwork.lowlevel._hooks import STANDS_FOR, find_hook
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports import abc as async_abc
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport
from easynetwork.lowlevel.api_sync.transports import abc as sync_abc
from easynetwork.lowlevel.api_sync.transports.abc import BaseTransport

EXPECTED_LOSSES = {
    # It keeps bytes and control messages in the socket until they are asked for, and tells names that change.
    ("AsyncioUnixStreamTransport", "_hook_keep_names"),
}


class Ours(BaseTransport):
    def close(self) -> None: ...

    def is_closed(self) -> bool:
        return False

    def _hook_close_abruptly(self) -> str:
        return "abruptly"


class Mixin:
    def close(self) -> None: ...


def test_the_type_has_the_hook() -> None:
    hook = find_hook(Ours(), "_hook_close_abruptly")
    assert hook(Ours()) == "abruptly"


def test_an_attribute_of_the_object_is_not_a_hook() -> None:
    class Plain(BaseTransport):
        def close(self) -> None: ...

        def is_closed(self) -> bool:
            return False

    transport: Any = Plain()
    transport._hook_close_abruptly = lambda: "the object"
    assert find_hook(transport, "_hook_close_abruptly") is None


def test_a_mock_has_no_hook() -> None:
    assert isinstance(Mock(spec=Ours), Ours)
    assert find_hook(Mock(spec=Ours), "_hook_close_abruptly") is None


def test_a_subclass_that_overrides_nothing_keeps_the_hook() -> None:
    class Subclass(Ours):
        def is_closed(self) -> bool:
            return True

    assert find_hook(Subclass(), "_hook_close_abruptly") is Ours._hook_close_abruptly


def test_a_subclass_that_overrides_the_method_loses_the_hook() -> None:
    class Subclass(Ours):
        def close(self) -> None: ...

    class Further(Subclass):
        pass

    for cls in (Subclass, Further):
        assert find_hook(cls(), "_hook_close_abruptly") is None


def test_a_mixin_that_overrides_the_method_takes_the_hook_away() -> None:
    class Before(Mixin, Ours):
        pass

    class After(Ours, Mixin):
        pass

    assert find_hook(Before(), "_hook_close_abruptly") is None
    assert find_hook(After(), "_hook_close_abruptly") is not None


def test_a_subclass_that_overrides_both_has_its_own_hook() -> None:
    class Subclass(Ours):
        def close(self) -> None: ...

        def _hook_close_abruptly(self) -> str:
            return "otherwise"

    assert find_hook(Subclass(), "_hook_close_abruptly")(Subclass()) == "otherwise"


def test_abstract_classes_have_no_hooks() -> None:
    abstract = [getattr(module, name) for module in (async_abc, sync_abc) for name in module.__all__]
    for cls in (*abstract, AsyncBackend):
        assert not [name for name in dir(cls) if name.startswith("_hook_")]


def test_abstract_classes_have_nothing_private_that_a_mock_would_answer_to() -> None:
    abstract = [getattr(module, name) for module in (async_abc, sync_abc) for name in module.__all__]
    for cls in (*abstract, AsyncBackend):
        names = {name for name in dir(cls) if name.startswith("_") and not name.startswith("__")}
        assert names <= {"_abc_impl", "_is_protocol"}


def test_every_hook_is_in_the_table_and_no_class_of_ours_loses_one_by_mistake() -> None:
    losses = set()
    for module in pkgutil.walk_packages(easynetwork.__path__, "easynetwork."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for cls in {*subclasses(AsyncBaseTransport), *subclasses(BaseTransport), *subclasses(AsyncBackend)}:
        if cls.__module__.startswith("easynetwork."):
            hooks = {name for name in vars(cls) if name.startswith("_hook_")}
            assert hooks <= STANDS_FOR.keys()
            losses |= {(cls.__name__, name) for name in hooks if vars(cls)[name] is None}
    assert losses == EXPECTED_LOSSES


def test_the_batch_is_not_public() -> None:
    assert "WriteBatch" not in async_abc.__all__


def subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)
