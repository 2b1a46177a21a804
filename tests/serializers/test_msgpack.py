from __future__ import annotations

import io
import sys
import tracemalloc
from typing import Any

import msgpack
import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers import MessagePackSerializer
from easynetwork.serializers.msgpack import MessagePackerConfig, MessageUnpackerConfig

PACKETS: list[Any] = [
    {"a": [1, 2.5, None, True, False]},
    [],
    {},
    "é" * 100,
    "x" * 300,
    "x" * 70_000,
    b"\xff" * 100,
    b"\xff" * 300,
    b"\xff" * 70_000,
    *(sign * 2**power for power in (0, 6, 7, 8, 15, 16, 31, 32, 62) for sign in (1, -1)),
    2**64 - 1,
    list(range(300)),
    [None] * 70_000,
    {str(number): number for number in range(300)},
    *(msgpack.ExtType(5, b"x" * size) for size in (0, 1, 2, 3, 4, 8, 16, 17, 300, 70_000)),
    msgpack.Timestamp(1, 2),
    msgpack.Timestamp(2**40, 2),
]


@pytest.mark.parametrize("packet", PACKETS)
def test_one_shot_gives_back_what_it_was_given(packet: Any) -> None:
    serializer = MessagePackSerializer()
    assert serializer.serialize(packet) == msgpack.packb(packet)
    assert serializer.deserialize(serializer.serialize(packet)) == packet


def test_file_is_left_after_the_packet() -> None:
    file = io.BytesIO()
    for packet in PACKETS:
        MessagePackSerializer().dump_to_file(packet, file)
    file.seek(0)
    assert [MessagePackSerializer().load_from_file(file) for _ in PACKETS] == PACKETS
    with pytest.raises(EOFError):
        MessagePackSerializer().load_from_file(file)


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("size", [3, 1000, 1_000_000])
def test_packets_follow_each_other_in_a_stream(receive_all: Any, size: int) -> None:
    serializer = MessagePackSerializer(limit=100_000)
    assert receive_all(serializer, pieces(send(serializer, PACKETS), size)) == PACKETS


@pytest.mark.parametrize("packet", PACKETS)
def test_packet_ends_with_its_last_byte(packet: Any) -> None:
    serializer = MessagePackSerializer(limit=100_000)
    data = serializer.serialize(packet)
    for first in (1, 2, 3, 5, len(data) - 1):
        rest = [data[first:-1], data[-1:]]
        results = receive(serializer, [chunk for chunk in (data[:first], *rest) if chunk]) if len(data) > first else []
        assert results in ([], [packet])
        assert receive(serializer, [data[:first], data[first:-1]] if len(data) > first + 1 else []) == []


def test_packer_config_is_obeyed() -> None:
    config = MessagePackerConfig(default=str, use_single_float=True)
    assert MessagePackSerializer(config).serialize([1.5, 1j]) == b"\x92\xca\x3f\xc0\x00\x00\xa21j"
    with pytest.raises(TypeError):
        MessagePackSerializer().serialize(1j)


@pytest.mark.parametrize(("handler", "text"), [("replace", "\ufffd"), ("ignore", "")])
def test_error_handler_is_obeyed(handler: str, text: str) -> None:
    assert MessagePackSerializer(None, MessageUnpackerConfig(unicode_errors=handler)).deserialize(b"\xa1\xff") == text
    assert MessagePackSerializer(MessagePackerConfig(unicode_errors=handler)).serialize("\ud800") in (b"\xa0", b"\xa1?")
    with pytest.raises(UnicodeEncodeError):
        MessagePackSerializer().serialize("\ud800")


def test_unpacker_config_is_obeyed() -> None:
    serializer = MessagePackSerializer(None, MessageUnpackerConfig(use_list=False, raw=True, ext_hook=lambda *x: x))
    assert serializer.deserialize(b"\x92\xa1a\xd4\x05x") == (b"a", (5, b"x"))
    assert receive(serializer, [b"\x92\xa1a\xd4\x05x"]) == [(b"a", (5, b"x"))]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"packer_config": {}}, TypeError),
        ({"unpacker_config": MessagePackerConfig()}, TypeError),
        ({"limit": 0}, ValueError),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        MessagePackSerializer(**arguments)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        MessagePackSerializer()
    assert "easynetwork-uvloop[msgpack]" in caught.value.__notes__[0]
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("data", "info"),
    [
        (b"", {"data": b""}),
        (b"\x92\x01", {"data": b"\x92\x01"}),
        (b"\xc1", {"data": b"\xc1"}),
        (b"\xa1\xff", {"data": b"\xa1\xff"}),
        (b"\x81\x01\x02", {"data": b"\x81\x01\x02"}),
        (b"\x01\x02", {"packet": 1, "extra": b"\x02"}),
    ],
)
def test_one_shot_needs_exactly_one_packet(data: bytes, info: Any, debug: bool) -> None:
    with pytest.raises(DeserializeError) as caught:
        MessagePackSerializer(debug=debug).deserialize(data)
    assert caught.value.error_info == (info if debug else None)


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("data", [b"\xa1\xff\x05", b"\x81\x01\x02\x05", b"\x81\xa1a\xa1\xff\x05"])
def test_stream_goes_on_after_a_well_formed_packet_with_invalid_content(receive_all: Any, data: bytes) -> None:
    refused, packet = receive_all(MessagePackSerializer(debug=True), [data])
    assert type(refused.error) is IncrementalDeserializeError
    assert bytes(refused.remaining_data) == b"\x05"
    assert refused.error.error_info == {"data": data}
    assert packet == 5


@pytest.mark.parametrize("data", [b"\xc1", b"\x92\xc1", b"\x91" * 50_000, b"\x81\xa1a" * 20_000])
def test_malformed_data_and_deep_nesting_are_invalid(data: bytes) -> None:
    with pytest.raises(DeserializeError):
        MessagePackSerializer().deserialize(data)
    for size in (len(data), 300, 1):
        results = receive(MessagePackSerializer(limit=40_000), pieces(data, size))
        assert isinstance(results[0].error, IncrementalDeserializeError)


def test_extension_whose_size_overflows_is_invalid_or_too_large() -> None:
    data = b"\xc9\xff\xff\xff\xff\x01" + b"x" * 100
    with pytest.raises(DeserializeError):
        MessagePackSerializer().deserialize(data)
    for size in (len(data), 1):
        results = receive(MessagePackSerializer(limit=50), pieces(data, size))
        assert isinstance(results[0].error, IncrementalDeserializeError)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xf0\x01",
        b"\xdc\xff\xff" * 900,
        b"\xdd\x00\x00\xff\xff" * 900,
    ],
)
@pytest.mark.parametrize("use_list", [True, False])
def test_what_is_only_announced_takes_no_memory(data: bytes, use_list: bool) -> None:
    serializer = MessagePackSerializer(None, MessageUnpackerConfig(use_list=use_list))
    tracemalloc.start()
    try:
        assert receive(serializer, pieces(data, 100)) == []
        with pytest.raises(DeserializeError):
            serializer.deserialize(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * serializer.buffer_limit
    finally:
        tracemalloc.stop()


def test_packet_larger_than_the_limit_is_refused() -> None:
    serializer = MessagePackSerializer(limit=10)
    assert receive(serializer, [msgpack.packb("123456789")]) == ["123456789"]
    for chunks in ([msgpack.packb("1234567890")], pieces(msgpack.packb("1234567890"), 3)):
        refused = receive(serializer, chunks)[0]
        assert type(refused.error) is LimitOverrunError
        assert refused.remaining_data == b""


@pytest.mark.parametrize("error", [ValueError, KeyError, EOFError])
@pytest.mark.parametrize(
    ("name", "data"),
    [("object_hook", b"\x80"), ("object_pairs_hook", b"\x80"), ("ext_hook", b"\xd4\x05\x00")],
)
def test_object_that_a_hook_refuses_is_invalid(name: str, data: bytes, error: type[Exception]) -> None:
    def hook(*_: Any) -> Any:
        raise error("the hook")

    hooks: Any = {name: hook}
    serializer = MessagePackSerializer(None, MessageUnpackerConfig(**hooks))
    with pytest.raises(DeserializeError):
        serializer.deserialize(data)
    for receive_all in (receive, receive_buffered):
        refused, packet = receive_all(serializer, [data + b"\x05"])
        assert type(refused.error) is IncrementalDeserializeError
        assert packet == 5
