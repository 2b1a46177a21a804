from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import svg
from benchmarks.peers import ROOT
from benchmarks.publish import save, update_docs
from benchmarks.report import markdown, number
from benchmarks.results import Reading, Results

from .conftest import results_of, sample

SVG = "{http://www.w3.org/2000/svg}"


def test_tables_give_each_server_its_figures_cheapest_first(results: Results) -> None:
    table = markdown(results).partition("### TCP: 1 in flight, 100 B\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[:3] for row in rows[:2]] == [
        ["hand-written Protocol", "uvloop", "7.00"],
        ["ours: AsyncStreamServer", "uvloop", "8.00"],
    ]
    assert rows[1][4] == "0.88"
    assert rows[-2][:5] == ["hand-written Protocol", "asyncio", "20.0", "0%", "0.35"]


def test_report_shows_bars_and_what_failed(results: Results) -> None:
    text = markdown(results)
    assert "short of the aim" in text
    assert "| pass " in text
    assert "FAIL" not in text
    assert "a <reason>" in text


def test_bars_show_how_far_the_rounds_lie_apart_where_there_are_several() -> None:
    results = results_of(
        *(sample("tcp/ours-bare", 10.0, round=number) for number in (1, 2, 3)),
        *(sample("tcp/ours-full-loop", cpu, round=number) for number, cpu in enumerate([9.0, 11.0, 10.5], 1)),
        *(sample("tcp/protocol", cpu, round=number) for number, cpu in enumerate([8.0, 12.0], 1)),
        sample("tcp/released-full", 20.0),
    )
    results.readings.append(Reading("tcp/ours-bare", "uvloop", "idle-used", 3.0))
    bars = markdown(results).partition("## Bars\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in bars.splitlines()]
    assert rows[0][2:4] == ["measured", "rounds"]
    found = {title: cells for title, _, *cells, _ in rows}
    tcp = "TCP, 1 in flight, 100 B: "
    assert found[f"{tcp}AsyncStreamServer vs hand-written Protocol"] == ["1.00", "0.90 to 1.10"]
    overhead = f"{tcp}AsyncTCPNetworkServer, looping handler vs the low-level server"
    assert found[overhead] == ["5.00", "-2.50 to 7.50"]
    assert found[f"{tcp}AsyncStreamServer vs EasyNetwork 1.2.0 AsyncTCPNetworkServer"] == ["2.00", ""]
    assert found["TCP, memory of an idle connection: AsyncStreamServer"] == ["3.00", ""]
    assert found["TCP, memory of an idle connection: AsyncTCPNetworkServer"] == ["–", ""]


def test_a_bar_of_a_group_that_was_left_out_is_not_mentioned(results: Results) -> None:
    assert "TLS" not in markdown(results)


def test_a_program_that_failed_has_a_row_without_figures(results: Results) -> None:
    rows = [line for line in markdown(results).splitlines() if line.startswith("| asyncio streams")]
    assert [cell.strip() for cell in rows[0].strip("|").split("|")][1:4] == ["asyncio", "–", ""]


def test_lines_of_a_table_are_equally_long(results: Results) -> None:
    for block in markdown(results).split("\n\n"):
        if block.startswith("|"):
            assert len({len(line) for line in block.splitlines()}) == 1


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.8, "0.80"), (12.34, "12.3"), (276.4, "276")])
def test_numbers_show_the_digits_that_count(value: float | None, text: str) -> None:
    assert number(value) == text


def test_chart_is_well_formed_and_has_a_bar_for_each_figure(results: Results) -> None:
    root = ET.fromstring(svg(results))
    assert root.tag == f"{SVG}svg"
    background, legend, figures = 1, 4, len(results.samples) + len(results.readings)
    assert len(root.findall(f"{SVG}rect")) == background + legend + figures
    words = [element.text for element in root.findall(f"{SVG}text")]
    assert "17.0" in words
    assert "TCP: KiB per idle connection, never used" in words
    assert "EasyNetwork 1.2.0 AsyncTCPNetworkServer" in words


def test_bars_of_a_panel_are_as_long_as_their_figures(results: Results) -> None:
    bars = [float(bar.get("width", "")) for bar in ET.fromstring(svg(results)).findall(f"{SVG}rect")][5:]
    # The first panel: hand-written on uvloop (7 µs) and on asyncio (20 µs).
    assert bars[0] / bars[1] == pytest.approx(7 / 20, rel=0.01)


def test_chart_of_nothing_is_well_formed() -> None:
    assert ET.fromstring(svg(results_of())).tag == f"{SVG}svg"


def test_saved_files_hold_the_same_run(results: Results, tmp_path: Path) -> None:
    save(results, tmp_path)
    assert Results.from_json((tmp_path / "latest.json").read_text()) == results
    assert markdown(results) in (tmp_path / "latest.md").read_text()
    assert (tmp_path / "latest.svg").read_text() == svg(results)


def test_tables_of_the_repository_are_those_of_its_latest_run() -> None:
    latest = Results.from_json((ROOT / "benchmarks" / "results" / "latest.json").read_text())
    for page in ("benchmarks/results/latest.md", "docs/benchmarks.md"):
        assert markdown(latest) in (ROOT / page).read_text()


def test_docs_keep_what_was_written_around_the_tables(results: Results, tmp_path: Path) -> None:
    update_docs(results_of(), tmp_path)
    page = tmp_path / "benchmarks.md"
    page.write_text("My words.\n\n" + page.read_text() + "\nMore words.\n")
    update_docs(results, tmp_path)
    text = page.read_text()
    assert text.startswith("My words.\n")
    assert text.endswith("\nMore words.\n")
    assert text.count(markdown(results)) == 1
    assert markdown(results_of()) not in text


def test_docs_refuse_a_page_without_a_place_for_the_tables(results: Results, tmp_path: Path) -> None:
    (tmp_path / "benchmarks.md").write_text("only prose")
    with pytest.raises(ValueError, match=r"benchmarks\.md"):
        update_docs(results, tmp_path)
    assert (tmp_path / "benchmarks.md").read_text() == "only prose"
