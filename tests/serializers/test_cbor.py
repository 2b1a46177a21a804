from __future__ import annotations

import datetime
import io
import sys
import tracemalloc
from typing import Any

import cbor2
import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers import CBORSerializer
from easynetwork.serializers.cbor import CBORDecoderConfig, CBOREncoderConfig

PACKETS: list[Any] = [{"a": [1, 2.5, None, True]}, [], {}, "é" * 100, b"\xff" * 300, -1, 2**70, list(range(300)), 1.5]


@pytest.mark.parametrize("packet", PACKETS)
def test_one_shot_gives_back_what_it_was_given(packet: Any) -> None:
    serializer = CBORSerializer()
    assert serializer.serialize(packet) == cbor2.dumps(packet)
    assert serializer.deserialize(serializer.serialize(packet)) == packet


def test_file_is_left_after_the_packet() -> None:
    file = io.BytesIO()
    for packet in PACKETS:
        CBORSerializer().dump_to_file(packet, file)
    file.seek(0)
    assert [CBORSerializer().load_from_file(file) for _ in PACKETS] == PACKETS
    with pytest.raises(EOFError):
        CBORSerializer().load_from_file(file)


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_packets_follow_each_other_in_a_stream(receive_all: Any, size: int) -> None:
    assert receive_all(CBORSerializer(), pieces(send(CBORSerializer(), PACKETS), size)) == PACKETS


INDEFINITE: list[tuple[bytes, Any]] = [
    (b"\x9f\x01\x9f\xff\x82\x02\x03\xff", [1, [], [2, 3]]),
    (b"\xbf\x61a\x9f\x01\xff\x61b\xbf\xff\xff", {"a": [1], "b": {}}),
    (b"\x5f\x42ab\x41c\xff", b"abc"),
    (b"\x7f\x62ab\x60\x61c\xff", "abc"),
    (b"\x82\x9f\xff\x9f\xc1\x01\xff", [[], [datetime.datetime(1970, 1, 1, 0, 0, 1, tzinfo=datetime.UTC)]]),
]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_items_of_indefinite_length_end_with_their_break(size: int) -> None:
    data = b"".join(item for item, _ in INDEFINITE)
    assert receive(CBORSerializer(), pieces(data, size)) == [packet for _, packet in INDEFINITE]


def test_encoder_config_is_obeyed() -> None:
    assert CBORSerializer(CBOREncoderConfig(canonical=True)).serialize({"b": 1, "a": 1.0}) == b"\xa2aa\xf9<\x00ab\x01"
    config = CBOREncoderConfig(default=lambda encoder, value: encoder.encode(str(value)))
    assert CBORSerializer(config).serialize(_Odd()) == b"\x63odd"
    with pytest.raises(cbor2.CBOREncodeError):
        CBORSerializer().serialize(_Odd())


class _Odd:
    def __str__(self) -> str:
        return "odd"


def test_decoder_config_is_obeyed() -> None:
    config = CBORDecoderConfig(object_hook=lambda *_: "an object", tag_hook=lambda *_: "a tag")
    assert CBORSerializer(None, config).deserialize(b"\x82\xa0\xd9\x17\x70\x01") == ["an object", "a tag"]


@pytest.mark.parametrize("error", [ValueError, KeyError, ZeroDivisionError, EOFError])
@pytest.mark.parametrize(("name", "data"), [("object_hook", b"\xa0"), ("tag_hook", b"\xd9\x17\x70\x01")])
def test_packet_that_a_hook_refuses_is_invalid(name: Any, data: bytes, error: type[Exception]) -> None:
    def hook(*_: Any) -> Any:
        raise error("the hook")

    hooks: Any = {name: hook}
    serializer = CBORSerializer(None, CBORDecoderConfig(**hooks))
    with pytest.raises(DeserializeError):
        serializer.deserialize(data)
    refused, packet = receive(serializer, [data + b"\x05"])
    assert type(refused.error) is IncrementalDeserializeError
    assert packet == 5


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"encoder_config": {}}, TypeError),
        ({"decoder_config": CBOREncoderConfig()}, TypeError),
        ({"limit": 0}, ValueError),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        CBORSerializer(**arguments)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        CBORSerializer()
    assert "easynetwork-uvloop[cbor]" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("data", "info"),
    [
        (b"", {"data": b""}),
        (b"\x82\x01", {"data": b"\x82\x01"}),
        (b"\x1c", {"data": b"\x1c"}),
        (b"\x61\xff", {"data": b"\x61\xff"}),
        (b"\x01\x02", {"packet": 1, "extra": b"\x02"}),
    ],
)
def test_one_shot_needs_exactly_one_packet(data: bytes, info: Any, debug: bool) -> None:
    with pytest.raises(DeserializeError) as caught:
        CBORSerializer(debug=debug).deserialize(data)
    assert caught.value.error_info == (info if debug else None)


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize(
    ("data", "remaining_data"),
    [
        (b"\x1c\x05", b"\x05"),  # a reserved size
        (b"\x62\xff\xff\x05", b"\x05"),  # no UTF-8
        (b"\x82\x62\xff\xff\x06\x05", b"\x06\x05"),  # the same inside of an array, of which one item was not read
        (b"\xc0\x63abc\x05", b"\x05"),  # a date that is none
    ],
)
def test_stream_goes_on_where_the_decoder_stopped_reading(receive_all: Any, data: bytes, remaining_data: bytes) -> None:
    refused, *packets = receive_all(CBORSerializer(debug=True), [data])
    assert type(refused.error) is IncrementalDeserializeError
    assert bytes(refused.remaining_data) == remaining_data
    assert refused.error.error_info == {"data": data}
    assert packets[-1] == 5


@pytest.mark.parametrize(
    "data",
    [
        b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",  # a decimal with an absurd exponent
        b"\xc5\x82\x1b" + b"\x7f" * 8 + b"\x01",  # a bigfloat with an absurd exponent
        b"\xd8\x1e\x82\x01\x00",  # one divided by zero
        b"\xd8\x23\x61(",  # half a regular expression
        b"\xc1\xfb\x7f\xf0" + b"\x00" * 6,  # infinitely many seconds since the epoch
        b"\xd8\x1d\x05",  # a reference to nothing
        b"\x81" * 100_000 + b"\x01",
        b"\xc1" * 100_000 + b"\x01",
        b"\x9f" * 100_000 + b"\x01",
    ],
)
def test_absurd_items_are_invalid(data: bytes) -> None:
    with pytest.raises(DeserializeError):
        CBORSerializer().deserialize(data)
    for size in (len(data), 500):
        results = receive(CBORSerializer(limit=200_000), pieces(data, size))
        assert isinstance(results[0].error, IncrementalDeserializeError)


@pytest.mark.parametrize(
    "data",
    [
        b"\x9b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x5b\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x7b\x00\x00\x00\x00\xff\xff\xff\xff",
        b"\x99\xff\xff" * 300,
        b"\x9a\x00\x00\xff\xff" * 300,
    ],
)
def test_what_is_only_announced_takes_no_memory(data: bytes) -> None:
    serializer = CBORSerializer()
    tracemalloc.start()
    try:
        assert receive(serializer, pieces(data, 100)) == []
        with pytest.raises(DeserializeError):
            serializer.deserialize(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * serializer.buffer_limit
    finally:
        tracemalloc.stop()


def test_packet_larger_than_the_limit_is_refused() -> None:
    serializer = CBORSerializer(limit=10)
    assert receive(serializer, [cbor2.dumps("123456789")]) == ["123456789"]
    for chunks in ([cbor2.dumps("1234567890")], pieces(cbor2.dumps("1234567890"), 3)):
        refused = receive(serializer, chunks)[0]
        assert type(refused.error) is LimitOverrunError
        assert refused.remaining_data == b""
