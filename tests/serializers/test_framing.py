from __future__ import annotations

from collections.abc import Generator

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered

from easynetwork.exceptions import LimitOverrunError
from easynetwork.serializers.framing import FixedSizeFrames, FramedPacketSerializer, FrameFormat, SeparatedFrames


class Raw(FramedPacketSerializer[bytes, bytes]):
    """Frames as they are."""

    def __init__(self, frames: FrameFormat | None) -> None:
        self.frames = frames

    def frame_format(self) -> FrameFormat | None:
        return self.frames

    def encode_frame(self, packet: bytes, /) -> bytes:
        return packet and packet + b"|"

    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        assert type(data) is bytes
        return data


def test_frame_formats_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError):
        SeparatedFrames(b"", 10)
    with pytest.raises(ValueError):
        SeparatedFrames(b"\n", 0)
    with pytest.raises(ValueError):
        FixedSizeFrames(0)


@pytest.mark.parametrize(
    ("data", "stripped"),
    [(b"a\r\n\r\n", b"a"), (b"a\n\r\n", b"a\n"), (b"\r\n", b""), (b"a\r\nb", b"a\r\nb"), (b"", b"")],
)
def test_strip_removes_whole_separators_at_the_end(data: bytes, stripped: bytes) -> None:
    assert SeparatedFrames(b"\r\n", 10).strip(data) == stripped


@pytest.mark.parametrize("keep_end", [False, True])
def test_separated_frames_are_deserialized_with_or_without_their_end(keep_end: bool) -> None:
    end = b"--" if keep_end else b""
    serializer = Raw(SeparatedFrames(b"--", 100, keep_end))
    for size in range(1, 12):
        chunks = pieces(b"ab--c-d----e-", size)
        assert receive(serializer, chunks) == [b"ab" + end, b"c-d" + end, end]
        assert receive_buffered(serializer, chunks) == [b"ab" + end, b"c-d" + end, end]


def test_fixed_size_frames_are_cut_by_count() -> None:
    serializer = Raw(FixedSizeFrames(3))
    for size in range(1, 12):
        chunks = pieces(b"abcdefghijk", size)
        assert receive(serializer, chunks) == [b"abc", b"def", b"ghi"]
        for sizehint in (1, 3, 4, 100):
            assert receive_buffered(serializer, chunks, sizehint) == [b"abc", b"def", b"ghi"]


def test_empty_frame_is_not_sent() -> None:
    serializer = Raw(SeparatedFrames(b"|", 10))
    assert list(serializer.incremental_serialize(b"")) == []
    assert list(serializer.incremental_serialize(b"a")) == [b"a|"]


def test_remainder_of_a_buffered_frame_is_a_view() -> None:
    for frames in (SeparatedFrames(b"\n", 100), FixedSizeFrames(3)):
        serializer = Raw(frames)
        buffer = serializer.create_deserializer_buffer(100)
        generator = serializer.buffered_incremental_deserialize(buffer)
        assert next(generator) == 0
        memoryview(buffer)[:5] = b"abc\nd"
        with pytest.raises(StopIteration) as caught:
            generator.send(5)
        packet, remaining = caught.value.value
        assert packet == b"abc"
        assert isinstance(remaining, memoryview)
        assert remaining.obj is memoryview(buffer).obj


def test_buffer_of_separated_frames_has_the_size_of_the_limit() -> None:
    assert Raw(SeparatedFrames(b"\r\n", 123)).create_deserializer_buffer(10) == bytearray(123)


def test_buffer_of_fixed_size_frames_follows_the_hint_if_a_frame_fits() -> None:
    serializer = Raw(FixedSizeFrames(5))
    assert [memoryview(serializer.create_deserializer_buffer(hint)).nbytes for hint in (1, 5, 9)] == [5, 5, 9]


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"boundary"])
@pytest.mark.parametrize("limit", [1, 2, 7, 8, 9, 20])
def test_buffered_frame_is_accepted_if_it_fits_and_refused_when_the_buffer_is_full(
    separator: bytes, limit: int
) -> None:
    serializer = Raw(SeparatedFrames(separator, limit))
    for size in range(1, 30):
        line = b"x" * size
        results = receive_buffered(serializer, [line, separator, separator])
        if size + len(separator) <= limit:
            assert results == [line, b""]
        else:
            assert isinstance(results[0].error, LimitOverrunError)
            assert results[-1] == b""


def test_serializer_without_frame_format_has_to_define_the_generators() -> None:
    serializer = Raw(None)
    with pytest.raises(NotImplementedError):
        next(serializer.incremental_deserialize())
    with pytest.raises(NotImplementedError):
        next(serializer.buffered_incremental_deserialize(bytearray(1)))
    with pytest.raises(NotImplementedError):
        serializer.create_deserializer_buffer(1)


def test_generator_of_a_subclass_has_the_last_word() -> None:
    class Prefixed(Raw):
        def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
            packet, remaining = yield from super().incremental_deserialize()
            return b"> " + packet, remaining

    assert receive(Prefixed(SeparatedFrames(b"\n", 10)), [b"a\nb\n"]) == [b"> a", b"> b"]
