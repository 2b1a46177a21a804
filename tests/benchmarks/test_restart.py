from __future__ import annotations

import pytest

from benchmarks.loads.numbered import numbers_of, ranges, reply_to, request
from benchmarks.restart import Restarts, main, report


def figures(text: str) -> dict[str, list[str]]:
    """Return the cells of each row, without the bar."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return {title: cells for title, _, *cells in lines}


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_server_that_is_not_restarted_loses_nothing(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--stop", "shutdown", "--restarts", "0", "--requests", "2000", "--no-release", "--loop", loop]
    assert main(options) == 0
    found = figures(capsys.readouterr().out)
    assert all(int(cell.replace(",", "")) >= 2000 for cell in found["replies received"])
    assert found["connections"] == ["50", "50"]
    for title in ("requests read and not answered", "replies that a handler sent in vain", "refused"):
        assert found[title] == ["0", "0"]


def test_clients_connect_again_after_each_restart(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--stop", "shutdown", "--restarts", "2", "--requests", "3000", "--clients", "10", "--no-release"]
    assert main(options) == 0
    assert all(int(cell) >= 20 for cell in figures(capsys.readouterr().out)["connections"])


def test_a_request_is_lost_if_it_was_read_and_not_answered() -> None:
    restarts = Restarts(answered={1, 2, 5}, read={1, 2, 3})
    assert restarts.unanswered == {"fast": 1}
    assert not restarts.is_faultless
    assert figures(report({"way": restarts}))["requests read and not answered"] == ["**1**"]


def test_a_reply_has_the_size_that_the_request_asks_for() -> None:
    line = request(7, 100, 0).decode().removesuffix("\n")
    assert len(reply_to(line)) == 99
    assert reply_to(line).startswith("7 ")


def test_numbers_become_ranges_and_back() -> None:
    assert ranges([3, 1, 2, 9]) == [(1, 4), (9, 10)]
    assert numbers_of([(1, 4), (9, 10)]) == {1, 2, 3, 9}
