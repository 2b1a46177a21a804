from __future__ import annotations

import sys
from typing import Any

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, receive_decoded, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, StreamProtocolParseError
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer
from easynetwork.serializers.framing import CobsFrames, LengthPrefixedFrames, SeparatedFrames, VarintFrames
from easynetwork.serializers.wrapper import ChecksumSerializer, FramedSerializer

each_checksum = pytest.mark.parametrize("checksum", ["crc32", "crc32c", "adler32"])


@pytest.mark.parametrize(
    ("checksum", "text", "value"),
    [  # the check values of "123456789", from the catalogue of parametrised CRC algorithms; and those of the RFCs
        ("crc32", "123456789", "cbf43926"),
        ("crc32c", "123456789", "e3069283"),
        ("crc32c", "\0" * 32, "8a9136aa"),  # RFC 3720, appendix B.4
        ("adler32", "123456789", "091e01de"),
        ("adler32", "Wikipedia", "11e60398"),
    ],
)
def test_published_values(checksum: Any, text: str, value: str) -> None:
    serializer = ChecksumSerializer(StringLineSerializer(), checksum)
    assert serializer.serialize(text) == text.encode() + bytes.fromhex(value)
    assert serializer.deserialize(text.encode() + bytes.fromhex(value)) == text


def test_the_byte_order() -> None:
    serializer = ChecksumSerializer(StringLineSerializer(), byteorder="little")
    assert serializer.serialize("123456789") == b"123456789" + bytes.fromhex("2639f4cb")
    assert serializer.deserialize(serializer.serialize("abc")) == "abc"


@each_checksum
def test_each_change_is_found(checksum: Any) -> None:
    serializer = ChecksumSerializer(StringLineSerializer(), checksum)
    good = serializer.serialize("abc")
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1
        with pytest.raises(DeserializeError, match="Invalid checksum"):
            serializer.deserialize(bytes(bad))
    for size in range(4):
        with pytest.raises(DeserializeError, match="shorter than its checksum"):
            serializer.deserialize(good[:size])


@each_checksum
@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("receive_all", [receive, receive_buffered, receive_decoded])
def test_a_wrong_sum_is_one_invalid_packet(checksum: Any, size: int, receive_all: Any) -> None:
    serializer = FramedSerializer(ChecksumSerializer(PickleSerializer(), checksum), LengthPrefixedFrames(2))
    good, bad = send(serializer, [{"a": 1}]), bytearray(send(serializer, ["b" * 20]))
    bad[-7] ^= 255
    first, second, third = receive_all(serializer, pieces(good + bad + good, size))
    assert first == third == {"a": 1}
    assert isinstance(
        second.error if isinstance(second, StreamProtocolParseError) else second, IncrementalDeserializeError
    )


def test_details_are_given_for_debugging_only() -> None:
    for debug, info in ((False, None), (True, {"data": b"abcd12345"})):
        serializer = ChecksumSerializer(StringLineSerializer(), debug=debug)
        assert serializer.debug is debug
        with pytest.raises(DeserializeError) as caught:
            serializer.deserialize(b"abcd12345")
        assert caught.value.error_info == info


def test_in_datagrams_no_frame_is_needed() -> None:
    protocol = DatagramProtocol(ChecksumSerializer(JSONSerializer()))
    assert protocol.build_packet_from_datagram(protocol.make_datagram([1, 2])) == [1, 2]


@pytest.mark.parametrize("frames", [CobsFrames(), VarintFrames(), LengthPrefixedFrames(1, adjustment=-1)], ids=repr)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_any_serializer_in_any_frames(frames: Any, size: int) -> None:
    serializer = FramedSerializer(PickleSerializer(), frames)
    assert serializer.frame_format() is frames
    packets = [{"a": 1}, (1, 2), "x" * 100, None, b"\0" * 50]
    for receive_all in (receive, receive_buffered, receive_decoded):
        assert receive_all(serializer, pieces(send(serializer, packets), size)) == packets


def test_a_packet_that_its_frame_cannot_hold_is_not_sent() -> None:
    with pytest.raises(ValueError, match="must not contain the separator"):
        send(FramedSerializer(StringLineSerializer(), SeparatedFrames(b";", 100)), ["a;b"])
    with pytest.raises(ValueError, match="do not fit"):
        send(FramedSerializer(StringLineSerializer(), LengthPrefixedFrames(1)), ["a" * 256])


def test_arguments_that_are_refused() -> None:
    line: Any = StringLineSerializer()
    wrong: Any = object()
    with pytest.raises(TypeError, match="Expected a serializer"):
        ChecksumSerializer(wrong)
    with pytest.raises(ValueError, match="'crc32', 'crc32c' or 'adler32', got 'md5'"):
        ChecksumSerializer(line, "md5")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="byteorder must be 'big' or 'little', got 'native'"):
        ChecksumSerializer(line, byteorder="native")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Expected a serializer"):
        FramedSerializer(wrong, CobsFrames())
    with pytest.raises(TypeError, match="Expected a framing, such as LengthPrefixedFrames"):
        FramedSerializer(line, wrong)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(ModuleNotFoundError, match="google_crc32c") as caught:
        ChecksumSerializer(StringLineSerializer(), "crc32c")
    assert "easynetwork-uvloop[crc32c]" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    ChecksumSerializer(StringLineSerializer(), "crc32")  # needs no extra
