from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from tests.support.framing_cases import (
    BufferedProtocolByGenerators,
    Framed,
    ProtocolByGenerators,
    ProtocolType,
    cut,
    decode,
)

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.lowlevel._core.stream_decoders.interface import FramingLostError
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.framing import CutFrames

each_path = pytest.mark.parametrize(
    "path", [StreamProtocol, BufferedStreamProtocol, ProtocolByGenerators, BufferedProtocolByGenerators]
)


def received(path: ProtocolType, frames: Any, stream: bytes, size: int = 1) -> list[Any]:
    results = decode(path(Framed(frames)), cut(stream, [size]))
    return [result[0] if isinstance(result, tuple) else result for result in results]


SIZES = {b"A": 1, b"B": 4}


def by_table(data: bytes, start: int) -> int:
    assert type(data) is bytes
    assert start < len(data)
    try:
        return start + SIZES[data[start : start + 1]]
    except KeyError:
        raise DeserializeError("unknown kind") from None


def through_dot(data: bytes, start: int) -> int:
    return data.find(b".", start) + 1


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_function_that_knows_sizes(path: ProtocolType, size: int) -> None:
    assert received(path, CutFrames(by_table), b"ABxyzAABabcBxx", size) == [b"A", b"Bxyz", b"A", b"A", b"Babc"]


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_function_that_searches(path: ProtocolType, size: int) -> None:
    assert received(path, CutFrames(through_dot), b".one.two.three", size) == [b".", b"one.", b"two."]


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_error_of_the_function_ends_the_stream(path: ProtocolType, size: int) -> None:
    expected = [b"A", IncrementalDeserializeError, FramingLostError]
    assert received(path, CutFrames(by_table), b"A?AA", size) == expected


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("error_type", [IncrementalDeserializeError, LimitOverrunError])
def test_an_error_that_tells_where_the_next_frame_begins_does_not(
    path: ProtocolType, size: int, error_type: Any
) -> None:
    def function(data: bytes, start: int) -> int:
        end = data.find(b".", start) + 1
        if end and data.startswith(b"b", start):
            if error_type is LimitOverrunError:
                raise LimitOverrunError("bad", data, end)
            raise IncrementalDeserializeError("bad", memoryview(data)[end:])
        return end

    stream = b"a.bad.b.c."
    assert received(path, CutFrames(function), stream, size) == [b"a.", error_type, error_type, b"c."]


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("function", [by_table, through_dot])
def test_the_limit(path: ProtocolType, size: int, function: Any) -> None:
    good = b"Bxy." + b"A" * (function is by_table)
    for limit, expected in (
        (4, received(path, CutFrames(function), good * 2)),
        (3, [LimitOverrunError, FramingLostError]),
    ):
        assert received(path, CutFrames(function, limit), good * 2, size) == expected


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("result", [None, "1", -1, -100, float("nan"), 1j])
def test_a_result_that_makes_no_sense_is_a_bug(path: ProtocolType, size: int, result: Any) -> None:
    results = decode(path(Framed(CutFrames(lambda data, start: result))), cut(b"abc", [size]))
    assert results[0][0] is RuntimeError
    assert issubclass(results[0][1], TypeError | ValueError)
    assert results[1:] == [(FramingLostError, results[0][1])]


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_start_means_that_more_is_needed(path: ProtocolType, size: int) -> None:
    def function(data: bytes, start: int) -> int:
        end = data.find(b".", start)
        return start if end < 0 else end + 1

    assert received(path, CutFrames(function), b"a.b.c", size) == [b"a.", b"b."]


@each_path
@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_bug_in_the_function_ends_the_stream(path: ProtocolType, size: int) -> None:
    def function(data: bytes, start: int) -> int:
        return start + 1 if data.startswith(b"a", start) else 1 // 0

    results = decode(path(Framed(CutFrames(function))), cut(b"aba", [size]))
    assert results == [b"a", (RuntimeError, ZeroDivisionError), (FramingLostError, ZeroDivisionError)]


@each_path
@pytest.mark.parametrize("remaining", [b"abc", b"xxxxxxx"])
def test_an_error_that_consumes_nothing_is_a_bug(path: ProtocolType, remaining: bytes) -> None:
    def function(data: bytes, start: int) -> int:
        raise IncrementalDeserializeError("bad", remaining)

    assert received(path, CutFrames(function), b"abc", 3) == [RuntimeError, FramingLostError]


def test_packets_are_sent_as_they_are() -> None:
    assert list(StreamProtocol(Framed(CutFrames(by_table))).generate_chunks(b"Bxyz")) == [b"Bxyz"]


def test_formats_are_values() -> None:
    frames = CutFrames(by_table, 99)
    for copied in (copy.copy(frames), copy.deepcopy(frames), pickle.loads(pickle.dumps(frames))):
        assert copied == frames


def test_arguments_that_are_refused() -> None:
    with pytest.raises(TypeError, match="'cut' must be callable, got 5"):
        CutFrames(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit"):
        CutFrames(by_table, 0)
