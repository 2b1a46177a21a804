from __future__ import annotations

import pytest

from benchmarks.catalogue import READINGS
from benchmarks.peers import Interpreter
from benchmarks.readings.crowd import crowd, slowdown
from benchmarks.readings.idle import idle_connections

from .support import NO_CORES, candidate


@pytest.mark.parametrize(("key", "at_most"), [("tcp/streams", 50), ("tls/streams", 500)])
def test_memory_of_idle_connections_is_what_they_add_to_the_server(
    key: str, at_most: float, interpreter: Interpreter
) -> None:
    figures = idle_connections(candidate(key, "asyncio", interpreter), NO_CORES, count=100)
    assert figures.keys() <= READINGS.keys()
    # Kilobytes for the objects of a connection; TLS in asyncio adds a buffer of 256 KiB.
    assert all(1 < kib < at_most for kib in figures.values())


def test_a_crowd_costs_memory_for_each_of_it_and_leaves_the_active_client_alone(interpreter: Interpreter) -> None:
    figures = crowd(candidate("crowd/protocol", "uvloop", interpreter), NO_CORES, count=300, window=0.02)
    assert figures.keys() <= READINGS.keys()
    assert 0.2 < figures["crowd-kib"] < 50
    assert all(figures[name] > 0 for name in ("crowd-slowdown", "crowd-p99", "empty-p99"))


def test_slowdown_is_the_median_of_the_ratios_of_the_turns() -> None:
    assert slowdown([20.0, 30.0, 90.0], [10.0, 10.0, 90.0]) == 2.0
