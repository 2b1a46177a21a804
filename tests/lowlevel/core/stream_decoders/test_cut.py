"""What cutting chunks costs, in time and memory, and what an interruption loses."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from tests.support.framing_cases import CountingBytes, Framed, ProtocolType, drain

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_decoders.cut import CutDecoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA, FramingLostError
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.framing import (
    CobsFrames,
    CountedBodyFrames,
    CutFrames,
    FrameFormat,
    LengthPrefixedFrames,
    NetstringFrames,
    OctetCountedFrames,
    SlipFrames,
    VarintFrames,
    parse_decimal,
)

LARGE = 20_000
FORMATS = [
    LengthPrefixedFrames(4),
    VarintFrames(),
    NetstringFrames(),
    OctetCountedFrames(),
    SlipFrames(),
    CobsFrames(),
    CountedBodyFrames(parse_decimal),
]


def framed(frames: FrameFormat, content: bytes) -> bytes:
    return frames.wrap(b"%d\n%b" % (len(content), content) if isinstance(frames, CountedBodyFrames) else content)


def new_decoder(frames: FrameFormat) -> Any:
    decoder = decoder_factory(StreamProtocol(Framed(frames)), 1024)()
    assert isinstance(decoder, CutDecoder)
    return decoder


def test_the_buffered_protocol_is_decoded_in_the_same_way() -> None:
    for frames in FORMATS:
        assert isinstance(decoder_factory(BufferedStreamProtocol(Framed(frames)), 1024)(), CutDecoder)


# --- time


@pytest.mark.parametrize("frames", FORMATS, ids=lambda frames: type(frames).__name__)
def test_a_frame_that_drips_in_is_searched_once(frames: FrameFormat) -> None:
    decoder = new_decoder(frames)
    stream = framed(frames, b"x" * LARGE)
    CountingBytes.searched = 0
    for position in range(len(stream) - 1):
        assert decoder.take_single(stream[position : position + 1]) is NEED_DATA
        assert decoder.next_packets(10) == []
        if type(decoder._partial) is bytearray:
            decoder._partial = CountingBytes(decoder._partial)
    decoder.feed(stream[-1:])
    assert b"".join(decoder.next_packets(10)).endswith(b"x" * LARGE)
    assert CountingBytes.searched <= 3 * len(stream)


def test_a_header_that_drips_in_is_searched_once() -> None:
    decoder = new_decoder(CountedBodyFrames(lambda header: 0))
    CountingBytes.searched = 0
    for _ in range(5000):
        decoder.feed(b"x")
        assert decoder.next_packet() is NEED_DATA
        if type(decoder._partial) is bytearray:
            decoder._partial = CountingBytes(decoder._partial)
    assert 0 < CountingBytes.searched <= 3 * 5000


def test_a_function_is_called_again_when_the_bytes_that_it_needs_are_there(protocol_type: ProtocolType) -> None:
    calls = []

    def cut(data: bytes, start: int) -> int:
        calls.append(len(data) - start)
        return start + LARGE if len(data) - start >= 1000 else start + 1000

    decoder = decoder_factory(protocol_type(Framed(CutFrames(cut))), 1024)()
    for _ in range(LARGE):
        decoder.feed(b"x")
        list(drain(decoder))
    assert calls[:2] == [1, 1000]
    assert len(calls) <= 6
    assert min(calls[2:]) >= LARGE


@pytest.mark.parametrize(
    ("frames", "invalid"),
    [
        (LengthPrefixedFrames(1), b"\x01!"),
        (SlipFrames(), b"\xdb\xc0"),
        (CobsFrames(), b"\x05a\0"),
        (LengthPrefixedFrames(1, limit=1), b"\x02ab"),
        (NetstringFrames(), b"1:!,"),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, FrameFormat) else repr(case),
)
def test_invalid_frames_do_not_copy_the_rest_of_their_chunk(frames: FrameFormat, invalid: bytes) -> None:
    decoder = new_decoder(frames)
    decoder.feed(invalid * 5000)
    kept = []
    for left in range(4999, -1, -1):
        with pytest.raises(StreamProtocolParseError) as info:
            decoder.next_packets(10)
        assert len(info.value.remaining_data) == left * len(invalid)  # type: ignore[arg-type]
        kept.append(info.value.remaining_data)
    assert len({id(data.obj) for data in kept if isinstance(data, memoryview)}) == 1
    assert decoder.next_packets(10) == []


# --- memory


@pytest.mark.parametrize(
    ("frames", "start"),
    [
        (LengthPrefixedFrames(8), (2**63).to_bytes(8, "big")),
        (LengthPrefixedFrames(4, keep_header=True), b"\xff\xff\xff\xff"),
        (VarintFrames(), b"\xff" * 9 + b"\x01"),
        (NetstringFrames(), b"9" * 19 + b":"),
        (OctetCountedFrames(), b"9" * 19 + b" "),
        (SlipFrames(), b""),
        (CobsFrames(), b""),
        (CountedBodyFrames(parse_decimal), b"9" * 19 + b"\n"),
    ],
    ids=lambda case: type(case).__name__ if isinstance(case, FrameFormat) else repr(case),
)
def test_of_an_endless_frame_nothing_is_kept(frames: FrameFormat, start: bytes, protocol_type: ProtocolType) -> None:
    decoder = decoder_factory(protocol_type(Framed(frames)), 1024)()
    chunk = b"x" * 1000
    errors = 0
    tracemalloc.start()
    try:
        for number in range(2000):
            decoder.feed(chunk if number else start + chunk)
            errors += len(list(drain(decoder)))
        assert errors == 1
        assert decoder.pending == 0
        assert tracemalloc.get_traced_memory()[0] < 30_000
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("rest", [b"", b"\0\0"], ids=["whole frames", "an incomplete frame"])
@pytest.mark.parametrize("single", [False, True])
def test_an_idle_connection_keeps_no_chunk(rest: bytes, single: bool) -> None:
    decoder = new_decoder(LengthPrefixedFrames(4))
    tracemalloc.start()
    try:
        chunk = b"\0\0\0\1a" * 20_000 + rest
        if single:
            assert decoder.take_single(chunk) is NEED_DATA
        else:
            decoder.feed(chunk)
        del chunk
        while decoder.next_packets(1000):
            pass
        decoder.batch = b""  # as the dispatcher does, before it waits
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
    assert decoder.pending == len(rest)


def test_the_last_packets_drain_the_decoder() -> None:
    decoder = new_decoder(LengthPrefixedFrames(1))
    decoder.feed(b"\1a\1b\1c")
    assert decoder.next_packets(2) == [b"a", b"b"]
    assert not decoder.drained
    assert decoder.next_packets(2) == [b"c"]
    assert decoder.drained
    assert not decoder.holds_input
    decoder.feed(b"\1d\5")
    assert decoder.next_packets(2) == [b"d"]
    assert decoder.holds_input


# --- interruptions and endings


def test_an_interruption_of_the_function_loses_nothing() -> None:
    interruptions = [KeyboardInterrupt()]

    def cut(data: bytes, start: int) -> int:
        if data.startswith(b"2", start) and interruptions:
            raise interruptions.pop()
        return start + 1

    for method in ("next_packets", "take_single"):
        decoder = new_decoder(CutFrames(cut))
        with pytest.raises(KeyboardInterrupt):
            if method == "take_single":
                decoder.take_single(b"123")
            else:
                decoder.feed(b"123")
                decoder.next_packets(10)
        assert decoder.next_packets(10) == [b"1", b"2", b"3"]
        interruptions.append(KeyboardInterrupt())


@pytest.mark.parametrize("method", ["next_packet", "take_single"])
def test_an_interruption_while_one_packet_is_decoded_loses_nothing(method: str) -> None:
    interruptions = [KeyboardInterrupt()]

    class Interrupted(Framed):
        def deserialize(self, data: bytes) -> bytes:
            if interruptions:
                raise interruptions.pop()
            return data

    decoder: Any = decoder_factory(StreamProtocol(Interrupted(LengthPrefixedFrames(1))), 1024)()
    with pytest.raises(KeyboardInterrupt):
        if method == "take_single":
            decoder.take_single(b"\1a")
        else:
            decoder.feed(b"\1a")
            decoder.next_packet()
    assert decoder.next_packet() == b"a"


def test_an_interruption_while_a_frame_is_incomplete_loses_nothing() -> None:
    interruptions = [KeyboardInterrupt()]

    def cut(data: bytes, start: int) -> int:
        if len(data) > 2 and interruptions:
            raise interruptions.pop()
        return data.find(b".", start) + 1

    decoder = new_decoder(CutFrames(cut))
    decoder.feed(b"ab")
    assert decoder.next_packets(10) == []
    decoder.feed(b"c.")
    with pytest.raises(KeyboardInterrupt):
        decoder.next_packets(10)
    assert decoder.next_packets(10) == [b"abc."]


def test_packets_before_an_error_come_first() -> None:
    def cut(data: bytes, start: int) -> int:
        if data.startswith(b"!", start):
            raise DeserializeError("no")
        return start + 1

    decoder = new_decoder(CutFrames(cut))
    decoder.feed(b"ab!c")
    assert decoder.next_packets(10) == [b"a", b"b"]
    assert not decoder.drained
    with pytest.raises(StreamProtocolParseError) as refused:
        decoder.next_packets(10)
    assert isinstance(refused.value.error, IncrementalDeserializeError)
    assert isinstance(refused.value.error.__cause__, DeserializeError)
    for chunk in (b"", b"a"):
        decoder.feed(chunk)
        with pytest.raises(FramingLostError) as info:
            decoder.next_packets(10)
        assert info.value.__cause__ is refused.value
    assert decoder.pending == 0


def test_a_cleared_decoder_starts_anew() -> None:
    decoder = new_decoder(LengthPrefixedFrames(1, limit=3))
    for rest in (b"\1a\1b", b"\3a", b"\x09abc", b""):
        decoder.feed(b"\1x" + rest)
        assert decoder.next_packet() == b"x"
        decoder.clear()
        assert not decoder.holds_input
        assert decoder.pending == 0
        decoder.feed(b"\2ok")
        assert decoder.next_packets(5) == [b"ok"]
