from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import pytest
from tests.support.serializer_drivers import pieces, receive, receive_buffered, send

from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError
from easynetwork.serializers import JSONSerializer, PickleSerializer, StringLineSerializer
from easynetwork.serializers.wrapper import Base64EncoderSerializer

KEY = base64.urlsafe_b64encode(bytes(range(32)))


def test_bytes_are_base64_in_the_chosen_alphabet() -> None:
    inner = StringLineSerializer(encoding="latin-1")
    packet = "\xfb\xff\xfe!"
    assert Base64EncoderSerializer(inner).serialize(packet) == b"-__-IQ=="
    assert Base64EncoderSerializer(inner, alphabet="standard").serialize(packet) == b"+//+IQ=="
    assert Base64EncoderSerializer(inner).deserialize(b"-__-IQ==") == packet
    assert Base64EncoderSerializer(inner, alphabet="standard").deserialize(b"+//+IQ==") == packet


def test_characters_outside_of_the_alphabet_are_skipped() -> None:
    assert Base64EncoderSerializer(StringLineSerializer()).deserialize(b" Y\nW!Jj\r") == "abc"


@pytest.mark.parametrize("checksum", [False, True, KEY], ids=["none", "sha256", "hmac"])
@pytest.mark.parametrize("receive_all", [receive, receive_buffered])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_any_serializer_can_be_used_in_a_stream(checksum: Any, receive_all: Any, size: int) -> None:
    serializer = Base64EncoderSerializer(PickleSerializer(), checksum=checksum)
    packets = [{"a": 1}, (1, 2), "x" * 100, None]
    assert receive_all(serializer, pieces(send(serializer, packets), size)) == packets


def test_packets_end_with_the_separator() -> None:
    assert list(Base64EncoderSerializer(StringLineSerializer()).incremental_serialize("abc")) == [b"YWJj\r\n"]
    serializer = Base64EncoderSerializer(StringLineSerializer(), separator=b"\n", limit=123, debug=True)
    assert (serializer.separator, serializer.buffer_limit, serializer.debug) == (b"\n", 123, True)


def test_separator_that_may_be_base64_is_checked() -> None:
    serializer = Base64EncoderSerializer(StringLineSerializer(), separator=b"WJ")
    with pytest.raises(ValueError):
        list(serializer.incremental_serialize("abc"))


def test_checksum_is_sha256_or_hmac_of_the_data() -> None:
    def raw(checksum: Any) -> bytes:
        return base64.urlsafe_b64decode(
            Base64EncoderSerializer(StringLineSerializer(), checksum=checksum).serialize("abc")
        )

    key = Base64EncoderSerializer.generate_key()
    assert raw(True) == b"abc" + hashlib.sha256(b"abc").digest()
    assert raw(key) == b"abc" + hmac.digest(base64.urlsafe_b64decode(key), b"abc", "sha256")
    assert raw(key.decode()) == raw(key)


def test_generated_keys_differ_and_are_accepted() -> None:
    first, second = Base64EncoderSerializer.generate_key(), Base64EncoderSerializer.generate_key()
    assert first != second
    assert len(first) == len(second) == 44
    data = Base64EncoderSerializer(StringLineSerializer(), checksum=first).serialize("abc")
    with pytest.raises(DeserializeError):
        Base64EncoderSerializer(StringLineSerializer(), checksum=second).deserialize(data)


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("data", [b"abcde", b"ab", b"a"])
def test_invalid_base64_is_invalid_and_leaks_nothing(checksum: bool, data: bytes) -> None:
    serializer = Base64EncoderSerializer(StringLineSerializer(), checksum=checksum, debug=True)
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(data)
    assert caught.value.error_info is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("position", [0, 3, 10, 34])
@pytest.mark.parametrize("checksum", [True, KEY], ids=["sha256", "hmac"])
def test_altered_data_is_invalid_and_leaks_nothing(position: int, checksum: Any) -> None:
    serializer = Base64EncoderSerializer(StringLineSerializer(), checksum=checksum, debug=True)
    data = bytearray(base64.urlsafe_b64decode(serializer.serialize("abc")))
    data[position] ^= 1
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(base64.urlsafe_b64encode(data))
    assert caught.value.error_info is None
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("data", [b"", b"YWJj", base64.b64encode(b"x" * 31), base64.b64encode(b"x" * 32)])
def test_missing_checksum_is_invalid(data: bytes) -> None:
    with pytest.raises(DeserializeError):
        Base64EncoderSerializer(StringLineSerializer(), checksum=True).deserialize(data)


def test_error_of_the_wrapped_serializer_is_its_own() -> None:
    serializer = Base64EncoderSerializer(JSONSerializer(debug=True))
    with pytest.raises(DeserializeError) as caught:
        serializer.deserialize(base64.b64encode(b"{"))
    assert caught.value.error_info["document"] == "{"
    refused, packet = receive(serializer, [base64.b64encode(b"{") + b"\r\n" + base64.b64encode(b"1") + b"\r\n"])
    assert type(refused.error) is IncrementalDeserializeError
    assert refused.error.error_info["document"] == "{"
    assert packet == 1


@pytest.mark.parametrize(("key", "cause"), [(b"abc", binascii.Error), ("YQ==", type(None))])
def test_refused_key_says_whether_it_is_base64_at_all(key: str | bytes, cause: type[object]) -> None:
    with pytest.raises(ValueError) as caught:
        Base64EncoderSerializer(StringLineSerializer(), checksum=key)
    assert type(caught.value.__cause__) is cause


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"serializer": object()}, TypeError),
        ({"serializer": StringLineSerializer}, TypeError),
        ({"alphabet": "other"}, TypeError),
        ({"alphabet": None}, TypeError),
        ({"checksum": 1}, TypeError),
        ({"checksum": 0}, TypeError),
        ({"checksum": None}, TypeError),
        ({"checksum": b"abc"}, ValueError),
        ({"checksum": "é"}, ValueError),
        ({"checksum": base64.urlsafe_b64encode(b"x" * 31)}, ValueError),
        ({"checksum": base64.urlsafe_b64encode(b"x" * 33)}, ValueError),
        ({"separator": b""}, ValueError),
        ({"limit": 0}, ValueError),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Base64EncoderSerializer(**({"serializer": StringLineSerializer()} | arguments))
