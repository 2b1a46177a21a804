from __future__ import annotations

import pytest

from benchmarks.catalogue import SERVERS
from benchmarks.results import Results
from benchmarks.targets import Target, Verdict, evaluate

from .conftest import results_of, sample


def verdicts(results: Results) -> dict[str, Verdict]:
    return {verdict.target.title: verdict for verdict in evaluate(results)}


def test_every_bar_is_judged_when_all_was_measured(results: Results) -> None:
    found = verdicts(results)
    missed = [title for title, verdict in found.items() if not verdict.passed]
    assert all(verdict.value is not None for verdict in found.values())
    assert [found[title].target.aim for title in missed] == [True]


def test_ratios_divide_the_peer_by_ours(results: Results) -> None:
    found = verdicts(results)
    title = "1 in flight, 100 B: AsyncTCPNetworkServer, a generator per request, vs EasyNetwork 1.2.0"
    assert found[title].value == pytest.approx(2.0)
    assert found["16 in flight, 100 B: vs hand-written Protocol"].value == pytest.approx(5.0)


def test_overhead_is_told_in_percent_of_more_cpu(results: Results) -> None:
    title = "16 in flight, 100 B: AsyncTCPNetworkServer over AsyncStreamServer"
    assert verdicts(results)[title].value == pytest.approx(10.0)


def test_memory_counts_the_dearer_kind_of_idle_connection(results: Results) -> None:
    assert verdicts(results)["resident memory of an idle connection, AsyncStreamServer"].value == 3.0


def test_nothing_passes_or_fails_unmeasured() -> None:
    assert {verdict.passed for verdict in evaluate(results_of(sample("protocol", 7.0)))} == {None}


@pytest.mark.parametrize(("value", "passed"), [(1.9, False), (2.0, True), (3.0, True), (3.1, False), (None, None)])
def test_bounds_are_inclusive(value: float | None, passed: bool | None) -> None:
    target = Target("between", lambda results: value, at_least=2.0, at_most=3.0)
    [verdict] = evaluate(results_of(), (target,))
    assert verdict.passed is passed


def test_bars_name_servers_that_exist(results: Results) -> None:
    assert {sample.server for sample in results.samples} <= set(SERVERS)
