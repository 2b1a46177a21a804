from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import pytest

from easynetwork.exceptions import DeserializeError
from easynetwork.serializers import PickleSerializer
from easynetwork.serializers.pickle import PicklerConfig, UnpicklerConfig


def test_any_object_comes_back() -> None:
    serializer = PickleSerializer()
    for packet in ({"a": [1, (2, 3)]}, {1, 2}, complex(1, 2), None, b"\0", int):
        assert serializer.deserialize(serializer.serialize(packet)) == packet


def test_defaults_are_those_of_the_standard_library() -> None:
    assert PicklerConfig().protocol == pickle.DEFAULT_PROTOCOL
    assert not PicklerConfig().fix_imports
    assert UnpicklerConfig() == UnpicklerConfig(fix_imports=False, encoding="utf-8", errors="strict")
    assert PickleSerializer().serialize([1]) == pickle.dumps([1], fix_imports=False)


def test_protocol_is_obeyed() -> None:
    assert PickleSerializer(PicklerConfig(protocol=0)).serialize([1]) == pickle.dumps([1], 0)


def test_optimized_pickles_are_shorter() -> None:
    packet = ["a", "b"]
    optimized = PickleSerializer(pickler_optimize=True).serialize(packet)
    assert optimized == pickletools.optimize(PickleSerializer().serialize(packet))
    assert len(optimized) < len(PickleSerializer().serialize(packet))


@pytest.mark.parametrize("arguments", [{"pickler_config": {}}, {"unpickler_config": PicklerConfig()}])
def test_bad_configs_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        PickleSerializer(**arguments)


def test_own_classes_are_called_with_the_documented_arguments() -> None:
    calls: list[dict[str, Any]] = []

    class MyPickler(pickle.Pickler):
        def __init__(self, file: Any, **kwargs: Any) -> None:
            calls.append(kwargs)
            super().__init__(file, **kwargs)

    class MyUnpickler(pickle.Unpickler):
        def __init__(self, file: Any, **kwargs: Any) -> None:
            calls.append(kwargs)
            super().__init__(file, **kwargs)

        def find_class(self, module_name: str, global_name: str, /) -> Any:
            raise pickle.UnpicklingError(f"forbidden: {global_name}")

    serializer = PickleSerializer(
        PicklerConfig(protocol=4), UnpicklerConfig(encoding="latin-1"), pickler_cls=MyPickler, unpickler_cls=MyUnpickler
    )
    assert serializer.deserialize(serializer.serialize([1])) == [1]
    assert calls == [
        {"protocol": 4, "fix_imports": False, "buffer_callback": None},
        {"fix_imports": False, "encoding": "latin-1", "errors": "strict", "buffers": None},
    ]
    with pytest.raises(DeserializeError, match="forbidden: int"):
        serializer.deserialize(serializer.serialize(int))


class _Explosive:
    def __reduce__(self) -> Any:
        return (io.BytesIO, (1,))


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"garbage", pickle.dumps([1])[:-1], pickle.dumps(_Explosive()), b"]" * 10 + b"."[:0]]
)
def test_whatever_goes_wrong_while_loading_is_invalid_data(data: bytes, debug: bool) -> None:
    with pytest.raises(DeserializeError) as caught:
        PickleSerializer(debug=debug).deserialize(data)
    assert caught.value.error_info == ({"data": data} if debug else None)
    assert caught.value.__cause__ is not None
    assert str(caught.value)


@pytest.mark.parametrize("debug", [False, True])
def test_bytes_after_the_pickle_are_invalid(debug: bool) -> None:
    serializer = PickleSerializer(debug=debug)
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(serializer.serialize([1]) + b"x")
    assert caught.value.error_info == ({"packet": [1], "extra": b"x"} if debug else None)
    assert serializer.debug is debug
