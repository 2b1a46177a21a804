"""What must hold for every serializer, whatever the packets, and however the bytes arrive."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serializers.catalogue import CASES, Case, OwnFixedSize, OwnSeparated
from tests.support.serializer_drivers import (
    check_errors,
    comparable,
    cut,
    receive,
    receive_buffered,
    receive_decoded,
    send,
)

from easynetwork.exceptions import (
    DeserializeError,
    StreamProtocolParseError,
)
from easynetwork.serializers import JSONSerializer, MsgspecJSONSerializer, StringLineSerializer, StructSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer, BufferedIncrementalPacketSerializer
from easynetwork.serializers.framing import FixedSizeFrames, FramedPacketSerializer, SeparatedFrames

reproducible = settings(derandomize=True, deadline=None, max_examples=25)
each_case = pytest.mark.parametrize("case", CASES, ids=repr)
positions = st.lists(st.integers(0, 2**16), max_size=20)
sizehints = st.integers(0, 300)


@each_case
@reproducible
@given(data=st.data())
def test_any_packets_in_any_pieces_arrive_unchanged(case: Case, data: st.DataObject) -> None:
    serializer = case.make()
    packets = data.draw(st.lists(case.packets, max_size=6))
    chunks = cut(send(serializer, packets), data.draw(positions))
    assert receive(serializer, chunks) == packets
    assert receive_decoded(serializer, chunks) == packets
    if isinstance(serializer, BufferedIncrementalPacketSerializer):
        assert receive_buffered(serializer, chunks, data.draw(sizehints)) == packets


@each_case
@reproducible
@given(data=st.data())
def test_any_packet_survives_one_shot(case: Case, data: st.DataObject) -> None:
    serializer = case.make()
    packet = data.draw(case.packets)
    if case.name == "line-keep-end":
        packet = packet.rstrip("\r\n")
    assert serializer.deserialize(serializer.serialize(packet)) == packet


@each_case
@reproducible
@given(data=st.data())
def test_packets_that_do_not_end_are_waited_for(case: Case, data: st.DataObject) -> None:
    serializer = case.make()
    packets = data.draw(st.lists(case.packets, min_size=1, max_size=3))
    sent = send(serializer, packets)
    last = len(send(serializer, packets[-1:]))
    missing = data.draw(st.integers(1, last)) if last else 0
    chunks = cut(sent[: len(sent) - missing], data.draw(positions))
    assert receive(serializer, chunks) == packets[: len(packets) - bool(missing)]


@each_case
@reproducible
@given(data=st.data())
def test_arbitrary_bytes_cause_documented_errors_only(case: Case, data: st.DataObject) -> None:
    serializer = case.make()
    garbage = data.draw(st.binary(max_size=200) | mutated(serializer, case))
    try:
        serializer.deserialize(garbage)
    except DeserializeError:
        pass
    chunks = cut(garbage, data.draw(positions))
    results = receive(serializer, chunks)
    check_errors(results, garbage)
    assert comparable(receive_decoded(serializer, chunks)) == comparable(results)
    if isinstance(serializer, BufferedIncrementalPacketSerializer):
        check_errors(receive_buffered(serializer, chunks, data.draw(sizehints)), garbage)


def mutated(serializer: AbstractIncrementalPacketSerializer[Any, Any], case: Case) -> st.SearchStrategy[bytes]:
    """Good packets of which some bytes were replaced by others."""
    sent = st.lists(case.packets, min_size=1, max_size=3).map(lambda packets: send(serializer, packets))
    return st.builds(_replace, sent, st.integers(0, 500), st.integers(0, 5), st.binary(max_size=5))


def _replace(data: bytes, start: int, size: int, replacement: bytes) -> bytes:
    start %= len(data) + 1
    return data[:start] + replacement + data[start + size :]


FRAMED: list[FramedPacketSerializer[Any, Any]] = [
    StringLineSerializer(),
    StringLineSerializer("CRLF", encoding="utf-8"),
    StringLineSerializer("CR", keep_end=True),
    JSONSerializer(),
    OwnSeparated(b"aab"),
    OwnFixedSize(3),
    StructSerializer("HB"),
    MsgspecJSONSerializer(Any),
]


@pytest.mark.parametrize("serializer", FRAMED, ids=lambda serializer: type(serializer).__name__)
@reproducible
@given(data=st.data())
def test_bad_frames_do_not_harm_the_good_ones_around(
    serializer: FramedPacketSerializer[Any, Any], data: st.DataObject
) -> None:
    frame_format = serializer.frame_format()
    if isinstance(frame_format, SeparatedFrames):
        separator = frame_format.separator
        frames = data.draw(
            st.lists(st.binary(max_size=20).filter(lambda frame: separator not in frame + separator[:-1]))
        )
        sent = b"".join(frame + separator for frame in frames)
        if frame_format.keep_end:
            frames = [frame + separator for frame in frames]
    else:
        assert isinstance(frame_format, FixedSizeFrames)
        frames = data.draw(st.lists(st.binary(min_size=frame_format.size, max_size=frame_format.size)))
        sent = b"".join(frames)
    expected = [outcome(serializer, frame) for frame in frames]
    chunks = cut(sent, data.draw(positions))
    for receive_all in (receive, receive_buffered, receive_decoded):
        results = receive_all(serializer, chunks)
        assert list(map(packet_or_text, results)) == expected


def packet_or_text(result: Any) -> Any:
    return str(result.error) if isinstance(result, StreamProtocolParseError) else result


def outcome(serializer: FramedPacketSerializer[Any, Any], frame: bytes) -> Any:
    try:
        return serializer.deserialize(frame)
    except DeserializeError as exc:
        return str(exc)


@reproducible
@given(
    documents=st.lists(st.sampled_from([b"[1]", b'{"a":"}"}', b'"x"', b"1\n", b"[x]", b"{]}", b"nul\n", b'"\t"'])),
    positions=positions,
)
def test_bad_documents_do_not_harm_the_good_ones_around(documents: list[bytes], positions: list[int]) -> None:
    serializer = JSONSerializer(use_lines=False)
    expected: list[Any] = []
    for document in documents:
        try:
            expected.append(serializer.deserialize(document))
        except DeserializeError:
            expected.append(StreamProtocolParseError)
    chunks = cut(b"".join(documents), positions)
    for receive_all in (receive, receive_buffered, receive_decoded):
        results = receive_all(serializer, chunks)
        assert [type(result) if isinstance(result, Exception) else result for result in results] == expected


@reproducible
@given(
    sizes=st.lists(st.integers(0, 30), max_size=6),
    limit=st.integers(1, 12),
    separator=st.sampled_from([b"\n", b"\r\n", b"-+-+"]),
    positions=positions,
)
def test_lines_within_the_limit_arrive_whatever_is_refused_between(
    sizes: list[int], limit: int, separator: bytes, positions: list[int]
) -> None:
    serializer = OwnSeparated(separator, limit=limit)
    lines = [bytes(65 + size for _ in range(size)) for size in sizes]
    sent = b"".join(line + separator for line in lines)
    expected = [line for line in lines if len(line) <= limit]
    whole = receive(serializer, [sent])
    assert [line for line in whole if not isinstance(line, Exception)] == expected
    assert len(whole) == len(lines)
    # In pieces, what follows the beginning of a line that was refused is taken for a line: nothing else is added.
    arrived = iter(receive(serializer, cut(sent, positions)))
    assert all(line in arrived for line in expected)
