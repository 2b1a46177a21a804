from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easynetwork.cli.demo.figures import format_seconds, percentile


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [(1, 50, 1), (1, 99, 1), (2, 50, 1), (3, 50, 2), (100, 50, 50), (100, 99, 99), (101, 99, 100), (1000, 99, 990)],
)
def test_percentile_is_the_sample_of_nearest_rank(count: int, percent: float, rank: int) -> None:
    assert percentile(range(1, count + 1), percent) == rank


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50),
    st.integers(min_value=1, max_value=100),
)
def test_percentile_is_the_smallest_sample_that_enough_others_do_not_exceed(samples: list[float], percent: int) -> None:
    ordered = sorted(samples)
    value = percentile(ordered, percent)
    enough = math.ceil(len(samples) * percent / 100)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= enough
    assert sum(sample < value for sample in samples) < enough


@pytest.mark.parametrize("percent", [0, -1, 100.1, math.nan])
def test_percentile_refuses_what_is_no_percentage(percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile([1.0], percent)


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 µs"),
        (1.234e-8, "0.01 µs"),
        (4.9876e-6, "4.99 µs"),
        (12.34e-6, "12.3 µs"),
        (99.96e-6, "100 µs"),
        (999.4e-6, "999 µs"),
        (999.6e-6, "1.00 ms"),
        (0.0296, "29.6 ms"),
        (0.120, "120 ms"),
        (0.9996, "1.00 s"),
        (9.996, "10.0 s"),
        (75.0, "75.0 s"),
        (750.0, "750 s"),
    ],
)
def test_durations_are_written_with_three_digits_in_a_fitting_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
