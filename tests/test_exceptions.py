from __future__ import annotations

import array

import pytest

from easynetwork.exceptions import (
    BaseProtocolParseError,
    BusyResourceError,
    ClientClosedError,
    DatagramProtocolParseError,
    DeserializeError,
    IncrementalDeserializeError,
    LimitOverrunError,
    PacketConversionError,
    ServerAlreadyRunning,
    ServerClosedError,
    StreamProtocolParseError,
    TypedAttributeLookupError,
    UnsupportedOperation,
)
from easynetwork.warnings import EasyNetworkWarning, ManualBufferAllocationWarning


@pytest.mark.parametrize(
    ("exception", "base"),
    [
        (BusyResourceError, RuntimeError),
        (ClientClosedError, ConnectionError),
        (ServerClosedError, RuntimeError),
        (ServerAlreadyRunning, RuntimeError),
        (TypedAttributeLookupError, LookupError),
        (UnsupportedOperation, NotImplementedError),
        (DeserializeError, Exception),
        (IncrementalDeserializeError, DeserializeError),
        (LimitOverrunError, IncrementalDeserializeError),
        (PacketConversionError, Exception),
        (BaseProtocolParseError, Exception),
        (DatagramProtocolParseError, BaseProtocolParseError),
        (StreamProtocolParseError, BaseProtocolParseError),
        (EasyNetworkWarning, UserWarning),
        (ManualBufferAllocationWarning, EasyNetworkWarning),
    ],
)
def test_exceptions_can_be_caught_by_what_they_are_a_kind_of(exception: type[Exception], base: type[Exception]) -> None:
    assert exception.__bases__ == (base,)


def test_closed_client_has_no_errno() -> None:
    assert ClientClosedError("closed").errno is None


@pytest.mark.parametrize("exception", [DeserializeError, PacketConversionError])
def test_message_is_the_text_of_the_exception(
    exception: type[DeserializeError] | type[PacketConversionError],
) -> None:
    assert str(exception("wrong")) == "wrong"
    assert exception("wrong").error_info is None
    assert exception("wrong", {"data": b"x"}).error_info == {"data": b"x"}


def test_incremental_error_says_where_to_go_on() -> None:
    error = IncrementalDeserializeError("wrong", memoryview(b"rest"), "info")
    assert str(error) == "wrong"
    assert bytes(error.remaining_data) == b"rest"
    assert error.error_info == "info"


@pytest.mark.parametrize(
    ("buffer", "consumed", "separator", "remaining_data"),
    [
        (b"abcSEPdef", 3, b"SEP", b"def"),
        (b"abcxSEdef", 3, b"SEP", b""),
        (b"abcxS", 3, b"SEP", b"S"),
        (b"abcxSE", 3, b"SEP", b"SE"),
        (b"abcxSSE", 3, b"SEP", b"SE"),
        (b"abcS", 3, b"SEP", b"S"),
        (b"abcxySEPdef", 3, b"SEP", b"SEPdef"),
        (b"abcSEPSEPdef", 3, b"SEP", b"SEPdef"),
        (b"abcxS", 3, b"", b"xS"),
        (b"abc", 3, b"SEP", b""),
        (b"abc", 3, b"", b""),
        (b"123456789\r", 9, b"\r\n", b"\r"),
    ],
)
def test_overrun_keeps_what_follows_the_separator_or_may_become_one(
    buffer: bytes, consumed: int, separator: bytes, remaining_data: bytes
) -> None:
    for given in (buffer, bytearray(buffer), memoryview(buffer), array.array("B", buffer)):
        error = LimitOverrunError("too long", given, consumed, separator)
        assert type(error.remaining_data) is bytes
        assert error.remaining_data == remaining_data
        assert error.consumed == consumed
        assert error.error_info is None
        assert str(error) == "too long"


def test_protocol_errors_show_what_the_serializer_said() -> None:
    cause = IncrementalDeserializeError("the reason", b"rest")
    stream_error = StreamProtocolParseError(b"rest", cause)
    assert stream_error.error is cause
    assert stream_error.remaining_data == b"rest"
    assert "the reason" in str(stream_error)
    datagram_error = DatagramProtocolParseError(cause)
    assert datagram_error.error is cause
    assert "the reason" in str(datagram_error)
