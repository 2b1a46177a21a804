from __future__ import annotations

import io
import pickle
from typing import IO, Any

import pytest
from tests.serializers.catalogue import LengthPrefixed
from tests.support.serializer_drivers import pieces, receive, receive_buffered, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError, LimitOverrunError
from easynetwork.serializers.base_stream import (
    AutoSeparatedPacketSerializer,
    FileBasedPacketSerializer,
    FixedSizePacketSerializer,
)


class Separated(AutoSeparatedPacketSerializer[bytes, bytes]):
    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        if data.startswith(b"!"):
            raise DeserializeError("refused", {"data": data})
        if data.startswith(b"crash"):
            raise ZeroDivisionError
        return data


class Fixed(FixedSizePacketSerializer[bytes, bytes]):
    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        if data.startswith(b"!"):
            raise DeserializeError("refused", {"data": data})
        return data


class Pickled(FileBasedPacketSerializer[Any, Any]):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(pickle.UnpicklingError, **kwargs)
        self.loads = 0

    def dump_to_file(self, packet: Any, file: IO[bytes], /) -> None:
        if packet is not None:
            pickle.dump(packet, file)

    def load_from_file(self, file: IO[bytes], /) -> Any:
        self.loads += 1
        try:
            return pickle.load(file)
        except pickle.UnpicklingError as exc:
            if "truncated" in str(exc):
                raise EOFError from exc
            raise


# -------------------------------------------------------------------------------------------------- separated packets


def test_separated_properties_are_what_was_given() -> None:
    serializer = Separated(bytearray(b"--"), limit=123, debug=True)  # type: ignore[arg-type] # whatever bytes() takes
    assert (serializer.separator, serializer.buffer_limit, serializer.debug) == (b"--", 123, True)
    assert type(serializer.separator) is bytes
    assert (Separated(b"-").buffer_limit, Separated(b"-").debug) == (65536, False)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"separator": b""}, ValueError),
        ({"separator": "\n"}, TypeError),
        ({"separator": b"\n", "limit": 0}, ValueError),
        ({"separator": b"\n", "limit": -1}, ValueError),
        ({"separator": b"\n", "unknown": 1}, TypeError),
    ],
)
def test_separated_refuses_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Separated(**arguments)


def test_extra_arguments_go_to_the_next_class() -> None:
    class Mixin:
        def __init__(self, *, name: str) -> None:
            self.name = name

    class Named(Separated, Mixin):
        pass

    class NamedFixed(Fixed, Mixin):
        pass

    class NamedPickled(LengthPrefixed, Mixin):
        pass

    assert Named(b"\n", name="x").name == "x"
    assert NamedFixed(1, name="x").name == "x"
    assert NamedPickled(name="x").name == "x"


@pytest.mark.parametrize(
    ("is_checked", "data", "chunks"),
    [
        (True, b"abc", [b"abc--"]),
        (True, b"abc--", [b"abc--"]),
        (True, b"abc------", [b"abc--"]),
        (True, b"abc-", [b"abc---"]),
        (True, b"----", []),
        (True, b"", []),
        (False, b"abc", [b"abc--"]),
        (False, b"abc--", [b"abc--"]),
        (False, b"abc----", [b"abc----"]),
        (False, b"a--c", [b"a--c--"]),
        (False, b"", []),
        (False, b"--", [b"--"]),
    ],
)
def test_separator_is_added_where_needed(is_checked: bool, data: bytes, chunks: list[bytes]) -> None:
    serializer = Separated(b"--", incremental_serialize_check_separator=is_checked)
    assert list(serializer.incremental_serialize(data)) == chunks


@pytest.mark.parametrize("data", [b"a--c", b"a--c--", b"--c"])
def test_separator_inside_of_a_packet_is_refused_if_checked(data: bytes) -> None:
    with pytest.raises(ValueError):
        list(Separated(b"--").incremental_serialize(data))


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
def test_refused_packet_is_skipped(receive_all: Any) -> None:
    one, refused, two, empty = receive_all(Separated(b"\n"), [b"one\n!bad", b"\ntwo\n\n"])
    assert (one, two, empty) == (b"one", b"two", b"")
    assert type(refused.error) is IncrementalDeserializeError
    assert bytes(refused.remaining_data) == b"two\n\n"
    assert refused.error.error_info == {"data": b"!bad"}
    assert type(refused.error.__cause__) is DeserializeError


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
def test_crash_of_deserialize_goes_through(receive_all: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        receive_all(Separated(b"\n"), [b"crash\n"])


# ------------------------------------------------------------------------------------------------ packets of fixed size


def test_fixed_size_properties_are_what_was_given() -> None:
    assert (Fixed(3).packet_size, Fixed(3).debug, Fixed(3, debug=True).debug) == (3, False, True)
    assert Fixed("7").packet_size == 7  # type: ignore[arg-type] # whatever int() takes


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"size": 0}, ValueError), ({"size": -1}, ValueError), ({"size": 1, "unknown": 1}, TypeError)],
)
def test_fixed_size_refuses_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Fixed(**arguments)


def test_packet_of_another_size_is_not_sent() -> None:
    assert list(Fixed(3).incremental_serialize(b"abc")) == [b"abc"]
    for data in (b"", b"ab", b"abcd"):
        with pytest.raises(ValueError):
            list(Fixed(3).incremental_serialize(data))


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
def test_refused_packet_of_fixed_size_is_skipped(receive_all: Any) -> None:
    one, refused, two = receive_all(Fixed(3), [b"one!b", b"dtwo"])
    assert (one, two) == (b"one", b"two")
    assert bytes(refused.remaining_data) == b"two"
    assert refused.error.error_info == {"data": b"!bd"}


# ------------------------------------------------------------------------------------------------- packets in a file


def test_file_based_properties_are_what_was_given() -> None:
    serializer = LengthPrefixed(limit=123, debug=True)
    assert (serializer.buffer_limit, serializer.debug) == (123, True)
    assert (LengthPrefixed().buffer_limit, LengthPrefixed().debug) == (65536, False)


@pytest.mark.parametrize(("arguments", "error"), [({"limit": 0}, ValueError), ({"unknown": 1}, TypeError)])
def test_file_based_refuses_bad_arguments(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        LengthPrefixed(**arguments)


def test_file_based_sends_one_chunk_or_none() -> None:
    assert list(LengthPrefixed().incremental_serialize(b"ab")) == [b"\2ab"]
    assert list(Pickled().incremental_serialize(None)) == []


def test_file_based_one_shot_needs_exactly_one_packet() -> None:
    serializer = LengthPrefixed(debug=True)
    assert serializer.deserialize(serializer.serialize(b"ab")) == b"ab"
    for data, info, cause in [
        (b"\2abc", {"packet": b"ab", "extra": b"c"}, type(None)),
        (b"\2a", {"data": b"\2a"}, EOFError),
        (b"", {"data": b""}, EOFError),
        (b"\0", {"data": b"\0"}, ValueError),
    ]:
        with pytest.raises(DeserializeError) as caught:
            serializer.deserialize(data)
        assert type(caught.value) is DeserializeError
        assert caught.value.error_info == info
        assert type(caught.value.__cause__) is cause
        with pytest.raises(DeserializeError) as caught:
            LengthPrefixed().deserialize(data)
        assert caught.value.error_info is None


def test_missing_data_is_no_invalid_data_even_if_every_exception_is_expected() -> None:
    assert receive(LengthPrefixed(Exception), [b"\3a", b"bc"]) == [b"abc"]
    with pytest.raises(DeserializeError) as caught:
        LengthPrefixed(Exception).deserialize(b"\3a")
    assert isinstance(caught.value.__cause__, EOFError)


def test_unexpected_error_of_the_loader_goes_through() -> None:
    with pytest.raises(ValueError, match="zero"):
        LengthPrefixed(KeyError).deserialize(b"\0")
    with pytest.raises(ValueError, match="zero"):
        receive(LengthPrefixed(KeyError), [b"\0"])


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("debug", [False, True])
def test_file_based_goes_on_where_the_loader_stopped_reading(receive_all: Any, debug: bool) -> None:
    one, refused, two = receive_all(LengthPrefixed(debug=debug), [b"\1a\0\2b", b"c"])
    assert (one, two) == (b"a", b"bc")
    assert type(refused.error) is IncrementalDeserializeError
    assert bytes(refused.remaining_data) == b"\2b"
    assert refused.error.error_info == ({"data": b"\0\2b"} if debug else None)


@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
def test_file_based_refuses_a_packet_larger_than_the_limit_before_it_is_complete(receive_all: Any) -> None:
    serializer = LengthPrefixed(limit=8)
    for chunks in ([b"\x09123", b"456", b"789"], [b"\x09123456789"]):
        refused = receive_all(serializer, chunks)[0]
        assert type(refused.error) is LimitOverrunError
        assert bytes(refused.remaining_data) == b""
    assert receive_all(serializer, [b"\x071234567"]) == [b"1234567"]


def test_file_based_limit_counts_one_packet_not_all_that_arrive_together() -> None:
    serializer = LengthPrefixed(limit=8)
    packets = [b"123456"] * 10
    assert receive(serializer, [send(serializer, packets)]) == packets


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_loader_that_is_not_ours_gets_its_packets(size: int) -> None:
    packets = [{"a": 1}, [1, 2, 3], "x" * 50]
    chunks = pieces(send(Pickled(), packets), size)
    assert receive(Pickled(), chunks) == packets
    for sizehint in (1, 10, 1000):
        assert receive_buffered(Pickled(), chunks, sizehint) == packets


def test_subclass_that_knows_when_a_packet_is_complete_spares_the_loader() -> None:
    class Knowing(LengthPrefixed):
        loads = 0

        def load_from_file(self, file: IO[bytes], /) -> bytes:
            self.loads += 1
            return super().load_from_file(file)

        def receive_more(self, data: bytes, /) -> Any:
            while len(data) <= min(data[0], self.buffer_limit):
                data += yield
            return data

    serializer = Knowing()
    assert receive(serializer, pieces(b"\x63" + b"x" * 99, 1)) == [b"x" * 99]
    assert serializer.loads == 2


def test_file_based_buffer_is_the_hint_or_the_limit() -> None:
    serializer = LengthPrefixed(limit=100)
    assert [serializer.create_deserializer_buffer(hint).nbytes for hint in (1, 50, 100, 200)] == [1, 50, 100, 100]
    assert isinstance(serializer.create_deserializer_buffer(1), memoryview)


def test_dumped_file_is_what_is_serialized() -> None:
    file = io.BytesIO()
    LengthPrefixed().dump_to_file(b"ab", file)
    assert LengthPrefixed().serialize(b"ab") == file.getvalue()
