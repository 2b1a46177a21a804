from __future__ import annotations

import tracemalloc
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import cut as cut_by_sizes

from easynetwork.exceptions import LimitOverrunError
from easynetwork.serializers.tools import GeneratorStreamReader

_T = TypeVar("_T")


def run(generator: Generator[None, bytes, _T], *chunks: bytes) -> _T:
    """Send *chunks*, all of which must be asked for; return the result."""
    try:
        next(generator)
        for chunk in chunks:
            generator.send(chunk)
    except StopIteration as exc:
        result: _T = exc.value
        return result
    raise AssertionError("the generator waits for more")


def test_read_all_empties_the_reader() -> None:
    reader = GeneratorStreamReader(b"abc")
    assert reader.read_all() == b"abc"
    assert reader.read_all() == b""


def test_read_returns_what_is_there_and_waits_only_for_nothing() -> None:
    reader = GeneratorStreamReader(b"abc")
    assert run(reader.read(2)) == b"ab"
    assert run(reader.read(2)) == b"c"
    assert run(reader.read(2), b"", b"", b"def") == b"de"
    assert run(reader.read(0)) == b""
    assert reader.read_all() == b"f"


def test_read_exactly_waits_for_all_bytes() -> None:
    reader = GeneratorStreamReader(b"a")
    assert run(reader.read_exactly(0)) == b""
    assert run(reader.read_exactly(3), b"b", b"", b"cd") == b"abc"
    assert run(reader.read_exactly(1)) == b"d"
    assert run(reader.read_exactly(2), b"ef") == b"ef"
    assert reader.read_all() == b""


def test_read_exactly_keeps_its_bytes_when_closed() -> None:
    reader = GeneratorStreamReader(b"a")
    generator = reader.read_exactly(3)
    next(generator)
    generator.send(b"b")
    generator.close()
    assert reader.read_all() == b"ab"


@pytest.mark.parametrize("keep_end", [True, False])
def test_read_until_consumes_the_separator(keep_end: bool) -> None:
    reader = GeneratorStreamReader(b"ab\r\ncd\r\ne")
    end = b"\r\n" if keep_end else b""
    assert run(reader.read_until(b"\r\n", 100, keep_end=keep_end)) == b"ab" + end
    assert run(reader.read_until(b"\r\n", 100, keep_end=keep_end)) == b"cd" + end
    assert run(reader.read_until(b"\r\n", 100, keep_end=keep_end), b"f", b"\r", b"\ng") == b"ef" + end
    assert reader.read_all() == b"g"


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"aab", b"--boundary--"])
def test_read_until_finds_a_separator_cut_anywhere(separator: bytes) -> None:
    data = b"aaa" + separator + b"rest"
    index = data.index(separator)
    for cut in range(1, len(data)):
        reader = GeneratorStreamReader(data[:cut])
        end = index + len(separator)
        chunks = [] if cut >= end else [data[cut:]]
        assert run(reader.read_until(separator, 100, keep_end=False), *chunks) == data[:index]
        assert reader.read_all() == (data[end:] if chunks else data[end:cut])


def test_read_until_keeps_its_bytes_when_closed() -> None:
    reader = GeneratorStreamReader(b"ab")
    generator = reader.read_until(b"\n", 100)
    next(generator)
    generator.send(b"cd")
    generator.close()
    assert reader.read_all() == b"abcd"


@pytest.mark.parametrize(
    ("data", "separator", "result"),
    [
        (b"12345678\nrest", b"\n", b"12345678"),
        (b"12345678\r\nrest", b"\r\n", b"12345678"),
    ],
)
def test_read_until_accepts_as_many_bytes_as_the_limit_before_the_separator(
    data: bytes, separator: bytes, result: bytes
) -> None:
    reader = GeneratorStreamReader(data)
    assert run(reader.read_until(separator, 8, keep_end=False)) == result


@pytest.mark.parametrize(
    ("data", "separator", "consumed", "remaining_data"),
    [
        (b"123456789\nrest", b"\n", 9, b"rest"),
        (b"123456789\n", b"\n", 9, b""),
        (b"123456789", b"\n", 9, b""),
        (b"12345678901234", b"\n", 14, b""),
        (b"123456789\r", b"\r\n", 9, b"\r"),
        (b"1234567890", b"\r\n", 9, b""),
    ],
)
@pytest.mark.parametrize("arrives_later", [False, True])
def test_read_until_refuses_more_and_consumes_nothing(
    data: bytes, separator: bytes, consumed: int, remaining_data: bytes, arrives_later: bool
) -> None:
    reader = GeneratorStreamReader(b"" if arrives_later else data)
    with pytest.raises(LimitOverrunError) as caught:
        run(reader.read_until(separator, 8), *([data] if arrives_later else []))
    assert caught.value.consumed == consumed
    assert caught.value.remaining_data == remaining_data
    assert reader.read_all() == data


def test_bad_arguments_are_refused_when_the_generator_starts() -> None:
    reader = GeneratorStreamReader()
    generators: list[Generator[None, bytes, bytes]] = [
        reader.read(-1),
        reader.read_exactly(-1),
        reader.read_until(b"\n", 0),
        reader.read_until(b"\n", -1),
        reader.read_until(b"", 1),
    ]
    for generator in generators:
        with pytest.raises(ValueError):
            next(generator)


def test_an_empty_line_is_read_like_any_other() -> None:
    reader = GeneratorStreamReader(b"\r\na\r\n\r\nrest")
    assert run(reader.read_until(b"\r\n", 1)) == b"\r\n"
    assert run(reader.read_until(b"\r\n", 1, keep_end=False)) == b"a"
    assert run(reader.read_until(b"\r\n", 1, keep_end=False)) == b""
    assert reader.read_all() == b"rest"


def test_initial_bytes_are_a_copy_of_a_mutable_buffer() -> None:
    initial = bytearray(b"abc")
    reader = GeneratorStreamReader(initial)  # type: ignore[arg-type]  # older programs may do so
    initial += b"def"
    data = reader.read_all()
    assert (type(data), data) == (bytes, b"abc")


def test_bad_arguments_are_refused_whatever_is_buffered() -> None:
    for data in (b"", b"abc"):
        reader = GeneratorStreamReader(data)
        for generator in (
            reader.read(-1),
            reader.read_exactly(-1),
            reader.read_until(b"a", 0),
            reader.read_until(b"", 9),
        ):
            with pytest.raises(ValueError):
                next(generator)
        assert reader.read_all() == data


@settings(derandomize=True, deadline=None, max_examples=300, database=None)
@given(
    data=st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n"]), max_size=40).map(b"".join),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    reads=st.lists(st.one_of(st.integers(0, 9), st.sampled_from([b"\n", b"\r\n"])), max_size=20),
    keep_end=st.booleans(),
)
def test_what_is_read_does_not_depend_on_the_split(
    data: bytes, cuts: list[int], reads: list[int | bytes], keep_end: bool
) -> None:
    limit = 5

    def read() -> Generator[None, bytes, None]:
        for what in reads:
            if isinstance(what, int):
                results.append((yield from reader.read_exactly(what)))
            else:
                try:
                    results.append((yield from reader.read_until(what, limit, keep_end=keep_end)))
                except LimitOverrunError:
                    results.append(None)
                    return

    expected: list[bytes | None] = []
    position = 0
    for what in reads:
        if isinstance(what, int):
            if position + what > len(data):
                break
            expected.append(data[position : position + what])
            position += what
        else:
            index = data.find(what, position)
            if index < 0 and len(data) - position + 1 - len(what) <= limit:
                break
            if index < 0 or index - position > limit:
                expected.append(None)
                break
            expected.append(data[position : index + (len(what) if keep_end else 0)])
            position = index + len(what)

    for chunks in (cut_by_sizes(data, cuts), cut_by_sizes(data, [1]), [data] if data else []):
        results: list[bytes | None] = []
        reader = GeneratorStreamReader()
        generator = read()
        try:
            next(generator)
            for chunk in chunks:
                generator.send(chunk)
        except StopIteration:
            pass
        assert results == expected


def test_reading_copies_only_what_is_read() -> None:
    line, count = b"x" * 20 + b"\r\n", 1000
    reader = GeneratorStreamReader(line * count + b"z" * 1_000_000)
    tracemalloc.start()
    try:
        for _ in range(count):
            assert run(reader.read(1)) == b"x"
            assert run(reader.read_exactly(9)) == b"x" * 9
            assert run(reader.read_until(b"\r\n", 100)) == b"x" * 10 + b"\r\n"
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()
    assert reader.read_all() == b"z" * 1_000_000


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("method", ["read_until", "read_exactly"])
def test_a_frame_that_drips_in_is_held_once(method: str, size: int) -> None:
    frame = b"x" * 0x40000
    chunks = [bytes(memoryview(frame)[start : start + size]) for start in range(0, len(frame), size)]
    reader = GeneratorStreamReader()
    generator = (
        reader.read_until(b"\r\n", len(frame)) if method == "read_until" else reader.read_exactly(len(frame) + 2)
    )
    next(generator)
    tracemalloc.start()
    try:
        for chunk in chunks:
            generator.send(chunk)
        with pytest.raises(StopIteration) as caught:
            generator.send(b"\r\n")
        assert len(caught.value.value) == len(frame) + 2
        # The buffer that grows has an eighth of spare room.
        assert tracemalloc.get_traced_memory()[1] < 1.25 * len(frame)
    finally:
        tracemalloc.stop()
