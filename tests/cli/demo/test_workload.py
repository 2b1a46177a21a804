from __future__ import annotations

import json

import pytest

from easynetwork.cli.demo.workload import PacketMaker, Workload


@pytest.mark.parametrize(
    ("packets", "connections", "shares"), [(10, 3, [4, 3, 3]), (2, 4, [1, 1, 0, 0]), (6, 2, [3, 3]), (1, 1, [1])]
)
def test_every_packet_is_the_share_of_one_connection(packets: int, connections: int, shares: list[int]) -> None:
    assert Workload(connections, packets, in_flight=1, payload=1).shares() == shares


@pytest.mark.parametrize("payload", [1, 61, 62, 63, 100, 5000])
def test_packets_have_the_payload_asked_for_and_none_is_like_another(payload: int) -> None:
    first, second = PacketMaker("client 0", payload), PacketMaker("client 1", payload)
    packets = [make(number) for make in (first, second) for number in range(70)]
    assert {len(packet["payload"].encode()) for packet in packets} == {payload}
    assert len({json.dumps(packet) for packet in packets}) == len(packets)


def test_neighbouring_packets_differ_in_each_byte_of_their_payload() -> None:
    make = PacketMaker("client 0", 200)
    for number in range(130):
        pair = zip(make(number)["payload"], make(number + 1)["payload"], strict=True)
        assert all(here != there for here, there in pair)


@pytest.mark.parametrize("payload", [1, 100, 65_000, 70_000, 1 << 20])
def test_the_frame_limit_leaves_room_for_the_largest_packet(payload: int) -> None:
    workload = Workload(connections=20_000, packets=10_000_000, in_flight=1, payload=payload)
    packet = PacketMaker("client 19999", payload)(10_000_000)
    assert len(json.dumps(packet)) <= workload.frame_limit
