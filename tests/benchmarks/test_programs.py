"""The programs on this project: each must do its job, or the benchmark would compare with nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.catalogue import GROUPS, PROGRAMS, Group
from benchmarks.peers import Interpreter
from benchmarks.readings.flood import flood
from benchmarks.results import Failure

from .support import NO_CORES, candidate, one_round

OURS = [
    (group, key)
    for group in GROUPS.values()
    for key in map(group.key, group.programs)
    if "/ours" in key and group.workloads
]


def skip_what_is_not_written_yet(failures: list[Failure]) -> None:
    for failure in failures:
        if "ModuleNotFoundError" in failure.reason or "NotImplementedError" in failure.reason:
            pytest.skip(failure.reason)


@pytest.mark.parametrize(("group", "key"), OURS, ids=[key for _, key in OURS])
def test_program_answers_every_message_of_its_load(group: Group, key: str, interpreter: Interpreter) -> None:
    workload = replace(group.workloads[0], depth=min(group.workloads[0].depth, 100))
    results = one_round(candidate(key, group.loops[0], interpreter), workload)
    skip_what_is_not_written_yet(results.failures)
    assert results.failures == []
    assert [sample.messages > 0 for sample in results.samples] == [True]


def test_no_datagram_of_a_flood_vanishes_silently(interpreter: Interpreter) -> None:
    pytest.importorskip("easynetwork.lowlevel.api_async.servers.datagram")
    figures = flood(candidate("flood/ours-bare", "uvloop", interpreter), NO_CORES, datagrams=1000, senders=20)
    assert figures["flood-lost"] == 0
    assert figures["flood-many-lost"] == 0


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_group_begins_with_what_the_others_are_compared_with(group: Group) -> None:
    first, *others = group.programs
    assert first.default
    assert others
    assert not first.name.startswith("ours")


def test_the_release_can_do_what_ours_do() -> None:
    assert {key.replace("/released", "/ours") for key in PROGRAMS if "/released" in key} == {
        key for key in PROGRAMS if "/ours" in key
    }
