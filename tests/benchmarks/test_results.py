from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.results import Results, percentile

from .conftest import results_of, sample


def test_sample_derives_cpu_rate_and_utilisation_from_what_was_counted() -> None:
    measured = sample("tcp/protocol", 250.0)
    assert measured.cpu_us == pytest.approx(250.0)
    assert measured.rate == 1000
    assert measured.utilisation == pytest.approx(0.25)


def test_cpu_is_the_median_over_the_rounds() -> None:
    results = results_of(*(sample("tcp/protocol", cpu, round=number) for number, cpu in enumerate([9.0, 100.0, 8.0])))
    assert results.cpu_us("tcp/protocol", "uvloop", "1x100") == pytest.approx(9.0)


def test_spread_is_the_distance_of_the_rounds_as_a_share_of_the_median() -> None:
    results = results_of(*(sample("tcp/protocol", cpu, round=number) for number, cpu in enumerate([9.0, 10.0, 12.0])))
    assert results.spread("tcp/protocol", "uvloop", "1x100") == pytest.approx(0.3)


def test_ratio_above_one_means_that_the_server_is_cheaper_than_its_peer() -> None:
    results = results_of(sample("tcp/ours-bare", 2.0), sample("tcp/protocol", 6.0))
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "1x100") == pytest.approx(3.0)


def test_ratio_may_compare_two_loops() -> None:
    results = results_of(sample("tcp/streams", 12.0, loop="asyncio"), sample("tcp/protocol", 6.0))
    assert results.cpu_ratio("tcp/streams", "tcp/protocol", "asyncio", "1x100", peer_loop="uvloop") == pytest.approx(
        0.5
    )


def test_what_was_not_measured_has_no_figures(results: Results) -> None:
    assert results.cpu_us("tcp/ours-bare", "asyncio", "1x100") is None
    assert results.cpu_ratio("tcp/ours-bare", "tcp/protocol", "uvloop", "16x16k") is None
    assert results.reading("tcp/streams", "uvloop", "idle-used") is None


def test_results_survive_json(results: Results) -> None:
    assert Results.from_json(results.to_json()) == results


@given(st.lists(st.integers(0, 1000), min_size=1), st.integers(1, 100))
def test_percentile_is_the_smallest_value_that_covers_its_share(values: list[int], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_percentile_of_nothing_is_none() -> None:
    assert percentile([], 50) is None
