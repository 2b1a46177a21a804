from __future__ import annotations

import pytest

from benchmarks.framings import PACKETS_PER_CHUNK, WAYS, decode_function, main
from easynetwork.lowlevel._core.stream_decoders.choice import packet_encoder
from easynetwork.protocol import StreamProtocol


@pytest.mark.parametrize("name", WAYS)
def test_both_that_are_compared_do_the_same(name: str) -> None:
    way = WAYS[name]
    frame = packet_encoder(StreamProtocol(way.serializer))(way.packet)
    assert way.encode_by_hand(way.packet) == frame
    chunk = frame * PACKETS_PER_CHUNK
    decode, by_hand = decode_function(way.serializer), way.by_hand()
    for chunks in ([chunk], [chunk[:30], chunk[30:]]):
        packets = [packet for chunk in chunks for packet in decode(chunk)]
        assert packets == [way.packet] * PACKETS_PER_CHUNK
        assert [packet for chunk in chunks for packet in by_hand.feed(chunk)] == [
            packet[-20:] if name in ("counted body", "function that cuts") else packet for packet in packets
        ]


def test_the_command_prints_a_row_for_each_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1"]) == 0
    output = capsys.readouterr().out
    assert all(f"| {name} " in output for name in WAYS)
