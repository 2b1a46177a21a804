from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results import Results, Sample, from_json, percentile, to_json

from .conftest import results_of, sample


def test_sample_derives_cpu_rate_and_utilisation_from_what_was_counted() -> None:
    measured = sample("tcp/protocol", 250.0)
    assert measured.cpu_us == pytest.approx(250.0)
    assert measured.rate == 1000
    assert measured.utilisation == pytest.approx(0.25)


def test_cpu_is_the_median_over_the_rounds() -> None:
    results = results_of(*(sample("tcp/protocol", cpu, round=number) for number, cpu in enumerate([9.0, 100.0, 8.0])))
    assert results.cpu_us("tcp/protocol", "uvloop", "1x100") == pytest.approx(9.0)


def test_user_cpu_is_the_median_of_the_rounds_that_recorded_it() -> None:
    made = [
        replace(sample("tcp/protocol", 9.0, round=number), user_seconds=user)
        for number, user in enumerate([0.001, None, 0.003, 0.004])
    ]
    assert results_of(*made).user_us("tcp/protocol", "uvloop", "1x100") == pytest.approx(3.0)
    assert results_of(sample("tcp/protocol", 9.0)).user_us("tcp/protocol", "uvloop", "1x100") is None


def test_user_ratios_compare_the_user_cpu_of_each_round() -> None:
    ours = [replace(sample("tcp/ours-bare", 9.0, round=number), user_seconds=0.002) for number in (1, 2)]
    theirs = [replace(sample("tcp/protocol", 9.0, round=number), user_seconds=0.002 * number) for number in (1, 2)]
    results = results_of(*ours, *theirs)
    assert results.user_ratios("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx([1.0, 2.0])


def test_python_is_that_of_the_programs() -> None:
    assert results_of().python == (3, 11)


def test_ratio_above_one_means_that_the_server_is_cheaper_than_its_peer() -> None:
    results = results_of(sample("tcp/ours-bare", 2.0), sample("tcp/protocol", 6.0))
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx(3.0)


def test_ratio_may_compare_two_loops() -> None:
    results = results_of(sample("tcp/streams", 12.0, loop="asyncio"), sample("tcp/protocol", 6.0))
    assert results.cpu_ratio("tcp/streams", "tcp/protocol", "asyncio", "1x100", peer_loop="uvloop") == pytest.approx(
        0.5
    )


def rounds(program: str, *cpus: float | None) -> list[Sample]:
    """Samples of *program* from the first round on, None for a round without one."""
    return [sample(program, cpu, round=number) for number, cpu in enumerate(cpus, 1) if cpu is not None]


def test_ratio_is_that_of_most_rounds_when_the_speed_of_the_machine_drifts() -> None:
    """It is halved from the third round on, and something disturbs the peer in the last: the medians are equal."""
    ours = rounds("tcp/ours-bare", 10.0, 10.0, 20.0, 20.0, 20.0)
    theirs = rounds("tcp/protocol", 20.0, 20.0, 40.0, 40.0, 20.0)
    results = results_of(*ours, *theirs)
    assert results.cpu_us("tcp/ours-bare", "uvloop", "1x100") == results.cpu_us("tcp/protocol", "uvloop", "1x100")
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx(2.0)


def test_ratio_leaves_out_rounds_that_lack_one_of_the_two() -> None:
    ours = rounds("tcp/ours-bare", None, 20.0, 10.0, 30.0)
    theirs = rounds("tcp/protocol", 90.0, 40.0, 30.0)
    results = results_of(*ours, *reversed(theirs))
    assert results.cpu_ratios("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx([2.0, 3.0])
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx(2.5)


def test_without_a_common_round_there_is_no_ratio() -> None:
    results = results_of(*rounds("tcp/ours-bare", 10.0), *rounds("tcp/protocol", None, 20.0))
    assert results.cpu_ratios("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == []
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") is None
    assert results.rate_ratios("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == []


def test_rates_are_compared_round_by_round_ours_over_theirs() -> None:
    ours, theirs = rounds("tcp/ours-bare", 1.0, 1.0, 1.0), rounds("tcp/protocol", 1.0, 1.0)
    slow = [replace(made, seconds=seconds) for made, seconds in zip(theirs, (2.0, 4.0), strict=True)]
    results = results_of(*ours, *slow)
    assert results.rate_ratios("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx([2.0, 4.0])


def test_what_was_not_measured_has_no_figures(results: Results) -> None:
    assert results.cpu_us("tcp/ours-bare", "asyncio", "1x100") is None
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "16x16k") is None
    assert results.reading("tcp/streams", "uvloop", "idle-used") is None


def test_results_survive_json(results: Results) -> None:
    assert from_json(to_json([results, results_of()])) == [results, results_of()]


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 100))
def test_percentile_is_the_smallest_value_that_covers_its_share(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_percentile_of_nothing_is_none() -> None:
    assert percentile([], 50) is None
