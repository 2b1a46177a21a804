from __future__ import annotations

from array import array

import pytest

from easynetwork.cli.demo.answers import Faults
from easynetwork.cli.demo.report import Row, print_report


def row(latencies: list[float], faults: Faults | None = None, failures: tuple[str, ...] = ()) -> Row:
    return Row(
        transport="TCP",
        loop="uvloop",
        packets=2000,
        seconds=2.0,
        server_cpu_seconds=0.01,
        latencies=array("d", latencies),
        faults=faults or Faults(),
        failures=failures,
    )


def test_a_row_shows_rate_latencies_and_cost_of_the_packets_answered() -> None:
    latencies = [0.003] * 10 + [0.001] * 1000 + [0.002] * 980 + [0.003] * 10
    assert row(latencies).cells() == ["TCP", "uvloop", "2,000", "1,000", "1.00 ms", "2.00 ms", "5.00 µs"]


def test_a_row_without_answers_has_no_figures() -> None:
    assert row([], Faults(lost=2000)).cells() == ["TCP", "uvloop", "0", "-", "-", "-", "-"]


def test_right_answers_are_good() -> None:
    good = row([0.1] * 2000)
    assert good.good
    assert good.verdict() == "TCP: all 2,000 packets were answered once, unaltered and in order."


@pytest.mark.parametrize("faults", [Faults(lost=1), Faults(doubled=1), Faults(altered=1), Faults(reordered=1)])
def test_any_fault_is_not_good_and_is_counted(faults: Faults) -> None:
    bad = row([0.1], faults)
    assert not bad.good
    assert bad.verdict() == f"TCP: of 2,000 packets {faults}"


def test_a_failed_connection_is_not_good_and_says_why() -> None:
    bad = row([0.1], failures=("first reason", "other reason"))
    assert not bad.good
    assert "2 failed connections, the first: first reason" in bad.verdict()


def test_the_report_is_a_table_and_a_verdict_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_report([row([0.001]), row([0.002])])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "Transport"
    assert lines[0].endswith("Server CPU/packet")
    assert len(lines) == 5
