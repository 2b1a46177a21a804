from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.exposure import Program
from benchmarks.hostile import Figure, Section, hostile_peers, main
from benchmarks.loads.hostile_peers import KINDS
from benchmarks.peers import Interpreter

SHORT = ["--limits", "off", "--no-release", "--rounds", "1", "--seconds", "0.04", "--attack-seconds", "0"]


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each row of the tables in *text*, by the first one."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {cells[0]: cells[1:] for cells in lines}


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_fairness_is_what_flooders_leave_to_the_honest_clients(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--only", "fairness", "--loop", loop]) == 0
    assert len(rows(capsys.readouterr().out)["% of those alone, per CPU second"]) == 3  # the bar, and two handlers


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_hostile_peers_of_all_kinds_attack(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--only", "streams", "--peers", "18"]) == 0
    found = rows(capsys.readouterr().out)
    for name, kind in KINDS.items():
        if name != "flooder":
            [cells] = [cells for title, cells in found.items() if title.startswith(f"{kind.title} (")]
            assert len(cells) == 3  # the bar, and the longest connections of both attacks
    assert found["descriptors left"][1:] == ["0", "0"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_limits_give_the_hostile_peers_their_deadlines(capsys: pytest.CaptureFixture[str]) -> None:
    options = [*SHORT, "--limits", "internet", "--deadline", "0.2", "--only", "streams", "datagrams"]
    assert main([*options, "--peers", "18", "--senders", "400"]) == 0
    bars = [cells[0] for title, cells in rows(capsys.readouterr().out).items() if "longest connection" in title]
    assert bars.count("≤ 1.2") == len(bars) - 1  # those that reset their connections have none


def test_the_datagrams_of_all_senders_reach_a_handler(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--only", "datagrams", "--senders", "400"]) == 0
    assert rows(capsys.readouterr().out)["datagrams that handlers received"] == ["", "401"]  # one to warm up


def test_tables_are_written_to_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before <!-- benchmarks: generated from here --> <!-- benchmarks: to here --> after")
    assert main([*SHORT, "--only", "datagrams", "--senders", "10", "--docs", str(page)]) == 0
    assert "Datagrams of 10 addresses" in page.read_text()


def test_bars_are_for_servers_with_limits(interpreter: Interpreter) -> None:
    columns = [(Program("this", interpreter, "internet"), "tcp"), (Program("this", interpreter, "off"), "tcp")]
    section = Section("A title", columns, [Figure("good", [3, 7], at_most=5), Figure("bad", [7, 7], at_most=5)])
    assert rows(section.text())["bad"] == ["≤ 5", "**7**", "7"]
    assert [figure.title for figure in section.missed()] == ["bad"]


def test_hostile_peers_are_of_all_kinds() -> None:
    peers = hostile_peers(2000)
    assert peers.keys() == KINDS.keys() - {"flooder"}
    assert 1990 <= sum(peers.values()) <= 2000
