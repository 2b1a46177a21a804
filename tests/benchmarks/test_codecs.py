from __future__ import annotations

from typing import Any

import pytest

from benchmarks.codec_worker import (
    PACKETS_PER_CHUNK,
    decode_by_generators,
    decode_function,
    encode_function,
    own_workloads,
    packets_per_second,
    workloads,
)
from benchmarks.codecs import BARS, _ratios, _verdict
from easynetwork.protocol import StreamProtocol

WORKLOADS = workloads() | own_workloads()


@pytest.mark.parametrize("name", WORKLOADS)
def test_all_ways_of_decoding_that_are_compared_give_the_same_packets(name: str) -> None:
    serializer, packet, _, plain_decode = WORKLOADS[name]
    protocol: StreamProtocol[Any, Any] = StreamProtocol(serializer)
    chunk = encode_function(protocol)(packet) * PACKETS_PER_CHUNK
    assert decode_function(protocol)(chunk) == [packet] * PACKETS_PER_CHUNK
    assert decode_by_generators(protocol, chunk) == [packet] * PACKETS_PER_CHUNK
    assert plain_decode(serializer.serialize(packet)) == packet


def test_sizes_are_those_that_the_names_say() -> None:
    sizes = {name: len(encode_function(StreamProtocol(case[0]))(case[1])) for name, case in WORKLOADS.items()}
    assert (sizes["line, 100 B"], sizes["struct, 16 B"]) == (100, 16)
    assert (sizes["msgspec MessagePack, 614 B"], sizes["protobuf, 46 B"]) == (4 + 614, 1 + 46)
    assert all(1000 <= size <= 1048 for name, size in sizes.items() if "1 KiB" in name)


def test_rate_is_that_of_the_packets() -> None:
    calls: list[None] = []
    assert packets_per_second(lambda: calls.append(None), 100) > 100
    assert calls


@pytest.mark.parametrize("name", BARS)
def test_bar_is_missed_by_less_and_met_by_as_much(name: str) -> None:
    against, at_least = BARS[name]
    assert _verdict(name, {against: [at_least, 0.0, at_least]})[1] is False
    assert _verdict(name, {against: [at_least * 0.99, 1000.0, 0.0]})[1] is True
    assert _verdict(name, {}) == ("", False)


def test_ratios_compare_the_rates_of_each_round() -> None:
    own = [{"rates": {"x": 10.0, "x, plain": 20.0}}, {"rates": {"x": 30.0, "x, plain": 30.0}}]
    released = [{"rates": {"x": 5.0}}, {"rates": {"x": 3.0}}]
    assert _ratios("x", own, released) == {"plain": [0.5, 1.0], "released": [2.0, 10.0]}
    assert _ratios("x", own, []) == {"plain": [0.5, 1.0]}
