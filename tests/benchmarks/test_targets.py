from __future__ import annotations

import pytest

from benchmarks.catalogue import GROUPS, READINGS
from benchmarks.results import Reading, Results
from benchmarks.targets import TARGETS, Target, Verdict, evaluate

from .conftest import results_of, sample

OLD, NEW = (3, 11), (3, 14)


def verdicts(results: Results) -> dict[str, Verdict]:
    return {verdict.target.title: verdict for verdict in evaluate(results)}


def test_every_bar_is_judged_when_all_was_measured(results: Results) -> None:
    found = [verdict for verdict in evaluate(results) if verdict.target.group == "tcp"]
    assert all(verdict.value is not None for verdict in found)
    assert [verdict.target.aim for verdict in found if not verdict.passed] == [True]
    assert not any(verdict.failed for verdict in found)


def test_ratios_divide_the_peer_by_ours(results: Results) -> None:
    found = verdicts(results)
    title = "TCP, 1 in flight, 100 B: AsyncTCPNetworkServer vs EasyNetwork 1.2.0 AsyncTCPNetworkServer"
    assert found[title].value == pytest.approx(2.0)
    assert found["TCP, 16 in flight, 100 B: AsyncStreamServer vs hand-written Protocol"].value == pytest.approx(8.0)


def test_overhead_is_told_in_percent_of_more_cpu(results: Results) -> None:
    title = "TCP, 16 in flight, 100 B: AsyncTCPNetworkServer, looping handler vs the low-level server"
    assert verdicts(results)[title].value == pytest.approx(10.0)


def test_a_bar_judges_the_median_of_the_rounds() -> None:
    target = Target("tcp", "rounds", lambda results: [5.0, 1.0, 2.0], at_least=2.0, at_most=2.0)
    [verdict] = evaluate(results_of(), (target,))
    assert verdict.value == 2.0
    assert verdict.passed


def test_memory_counts_the_dearer_kind_of_idle_connection(results: Results) -> None:
    assert verdicts(results)["TCP, memory of an idle connection: AsyncStreamServer"].value == 3.0


def test_nothing_passes_or_fails_unmeasured() -> None:
    assert {verdict.passed for verdict in evaluate(results_of(sample("tcp/protocol", 7.0)))} == {None}


@pytest.mark.parametrize(("value", "passed"), [(1.9, False), (2.0, True), (3.0, True), (3.1, False), (None, None)])
def test_bounds_are_inclusive(value: float | None, passed: bool | None) -> None:
    target = Target("tcp", "between", lambda results: [] if value is None else [value], at_least=2.0, at_most=3.0)
    [verdict] = evaluate(results_of(), (target,))
    assert verdict.passed is passed
    assert verdict.failed is (passed is False)


@pytest.mark.parametrize(("python", "bound"), [("3.11.2", 2.0), ("3.13.7", 2.0), ("3.14.0", 3.0), ("3.15.0", 3.0)])
def test_a_bound_applies_from_its_python_up_to_the_next_one(python: str, bound: float) -> None:
    run = results_of()
    run.machine["python"] = f"CPython {python}"
    target = Target("tcp", "by version", lambda results: [2.5], at_least={OLD: 2.0, NEW: 3.0})
    [verdict] = evaluate(run, (target,))
    assert verdict.at_least == bound
    assert verdict.failed is (bound == 3.0)


def test_a_bound_may_be_none_for_a_python() -> None:
    target = Target("tcp", "only later", lambda results: [0.1], at_least={OLD: None, NEW: 3.0})
    assert evaluate(results_of(), (target,))[0].passed


def test_every_bar_asks_for_programs_and_workloads_that_exist() -> None:
    """A figure that asks for something else would be None for ever."""
    every = results_of(
        *(
            sample(key, 10.0, loop=loop, workload=workload.name)
            for group in GROUPS.values()
            for key in map(group.key, group.programs)
            for loop in group.loops
            for workload in group.workloads
        )
    )
    every.readings += [
        Reading(key, loop, name, 1.0)
        for group in GROUPS.values()
        for key in map(group.key, group.programs)
        for loop in group.loops
        for name in READINGS
    ]
    assert [verdict.target.title for verdict in evaluate(every) if verdict.value is None] == []


def test_titles_of_bars_are_unique() -> None:
    assert len({target.title for target in TARGETS}) == len(TARGETS)
