"""The handler of a connection gets what the decoder returns, in any framing and however the stream is split."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.framing_cases import Block, Line
from tests.support.handled import Handler, looping, one_per_request, receive_handled
from tests.support.serializer_drivers import comparable, receive_decoded, send

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.serializers import JSONSerializer, StringLineSerializer, StructSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.framing import LengthPrefixedFrames, NetstringFrames, SlipFrames
from easynetwork.serializers.wrapper import FramedSerializer

_JSON = JSONSerializer()


async def suspending(received: list[Any]) -> AsyncGenerator[None, Any]:
    """Note a request, and let the event loop run before the next one."""
    while True:
        try:
            request = yield
        except StreamProtocolParseError as exc:
            received.append(exc)
        else:
            await asyncio.sleep(0)
            received.append(request)


async def two_per_generator(received: list[Any]) -> AsyncGenerator[float | None, Any]:
    """Note two requests, the second one with a timeout, before the next generator."""
    for timeout in (None, 5.0):
        try:
            received.append((yield timeout))
        except StreamProtocolParseError as exc:
            received.append(exc)


HANDLERS: list[Any] = [looping, one_per_request, suspending, two_per_generator]
SERIALIZERS: dict[str, tuple[AbstractIncrementalPacketSerializer[Any, Any], list[Any]]] = {
    "lines": (StringLineSerializer(limit=20), ["", "a", "bc", "x" * 20]),
    "lines of UTF-8": (StringLineSerializer("CR", encoding="utf-8", keep_end=True), ["a", "é€", "\n"]),
    "lines with CRLF": (StringLineSerializer("CRLF", limit=20), ["a", "\n", "b" * 18]),
    "lines that may be invalid": (Line(b"\n", limit=20), [b"a", b"!a", b"b" * 20]),
    "blocks": (Block(3), [b"abc", b"!ab", b"def"]),
    "structs": (StructSerializer("!H"), [(1,), (2,)]),
    "length prefixes": (FramedSerializer(_JSON, LengthPrefixedFrames(2, limit=30)), [1, "a", ["b" * 20]]),
    "netstrings": (FramedSerializer(_JSON, NetstringFrames(limit=30)), [1, "a"]),
    "SLIP": (FramedSerializer(_JSON, SlipFrames(limit=30)), [1, "a"]),
    "JSON": (JSONSerializer(use_lines=False), [1, "a", {"b": [2]}]),
}


@st.composite
def streams(draw: st.DrawFn, serializer: AbstractIncrementalPacketSerializer[Any, Any], packets: list[Any]) -> Any:
    """Return the chunks of a stream. Some of its bytes may be wrong, or missing at its end."""
    data = bytearray(send(serializer, draw(st.lists(st.sampled_from(packets), max_size=12))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        position = draw(st.integers(0, len(data)))
        data[position : position + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"!", b"\xff", b"\n", b"9" * 40])
        )
    chunks = []
    while data:
        size = draw(st.integers(1, len(data))) if draw(st.booleans()) else len(data)
        chunks.append(bytes(data[:size]))
        del data[:size]
    return chunks


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", SERIALIZERS)
@settings(deadline=None, derandomize=True, max_examples=60, database=None)
@given(data=st.data())
def test_the_handler_gets_what_the_decoder_returns(name: str, handler: Handler, data: st.DataObject) -> None:
    serializer, packets = SERIALIZERS[name]
    chunks = data.draw(streams(serializer, packets))
    assert comparable(receive_handled(serializer, chunks, handler)) == comparable(receive_decoded(serializer, chunks))


@pytest.mark.parametrize("handler", HANDLERS)
def test_many_requests_in_one_chunk_arrive_in_order(handler: Handler) -> None:
    packets = [str(number) for number in range(1000)]
    serializer = StringLineSerializer()
    assert receive_handled(serializer, [send(serializer, packets)], handler) == packets
