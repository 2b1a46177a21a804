from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.catalogue import PROGRAMS
from benchmarks.peers import ROOT
from benchmarks.publish import LATEST, PICTURES, generated, picture, save, update_docs
from benchmarks.report import markdown, number
from benchmarks.results import Reading, Results, from_json
from benchmarks.summary import COLUMNS, ROWS, TCP, summary_table

from .conftest import results_of, sample

SVG = "{http://www.w3.org/2000/svg}"


def test_tables_give_each_server_its_figures_cheapest_first(results: Results) -> None:
    table = markdown([results]).partition("### TCP: 1 in flight, 100 B\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[:3] for row in rows[:2]] == [
        ["hand-written Protocol", "uvloop", "7.00"],
        ["ours: AsyncTCPNetworkServer, looping handler", "uvloop", "7.50"],
    ]
    assert rows[1][3] == "0.93"
    assert rows[-2][:4] == ["hand-written Protocol", "asyncio", "20.0", "0.35"]


def test_tables_show_the_user_cpu_and_the_quartiles_of_both_ratios() -> None:
    rounds = [
        replace(sample(program, cpu, round=number), user_seconds=user * 1000 / 1e6)
        for program, figures in {
            "tcp/protocol": [(9.0, 4.0), (10.0, 4.0), (11.0, 4.0)],
            "tcp/ours-bare": [(10.0, 2.0), (10.0, 4.0), (10.0, 8.0)],
        }.items()
        for number, (cpu, user) in enumerate(figures)
    ]
    text = markdown([results_of(*rounds)])
    row = next(line for line in text.splitlines() if line.startswith("| ours: AsyncStreamServer "))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:8] == ["10.0", "1.00", "0.95 to 1.05", "4.00", "1.00", "0.75 to 1.50"]


def test_report_says_how_quiet_the_machine_was_if_the_run_recorded_it(results: Results) -> None:
    assert "Load average" not in markdown([results])
    results.machine.update({"load_average": [0.5, 1.25], "others": 0.031, "stolen": 0.0})
    text = markdown([results])
    assert "0.50 before the run and 1.25 at its end" in text
    assert "used 3.1% of the machine's CPU" in text


def test_each_python_has_its_tables_and_its_own_bars(results: Results) -> None:
    newer = replace(results, machine={**results.machine, "python": "CPython 3.14.1"}, failures=[])
    text = markdown([results, newer])
    assert [line for line in text.splitlines() if line.startswith("## Python")] == [
        "## Python 3.11.0",
        "## Python 3.14.1",
    ]
    title = "| TCP, 16 in flight, 100 B: AsyncTCPNetworkServer, looping handler vs hand-written Protocol "
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith(title)]
    assert [row[2:5] for row in rows] == [["3.11", "≥ 6.5", "7.27"], ["3.14", "≥ 7", "7.27"]]


def test_report_shows_bars_and_what_failed(results: Results) -> None:
    text = markdown([results])
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
    bars = markdown([results]).partition("## Bars\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in bars.splitlines()]
    assert rows[0][3:5] == ["measured", "rounds"]
    found = {title: cells[:2] for title, _, _, *cells in rows}
    tcp = "TCP, 1 in flight, 100 B: "
    assert found[f"{tcp}AsyncStreamServer vs hand-written Protocol"] == ["1.00", "0.90 to 1.10"]
    overhead = f"{tcp}AsyncTCPNetworkServer, looping handler vs the low-level server"
    assert found[overhead] == ["5.00", "-2.50 to 7.50"]
    assert found[f"{tcp}AsyncStreamServer vs EasyNetwork 1.2.0 AsyncTCPNetworkServer"] == ["2.00", ""]
    assert found["TCP, memory of an idle connection: AsyncStreamServer"] == ["3.00", ""]
    assert found["TCP, KiB per idle connection, after a message: AsyncTCPNetworkServer"] == ["–", ""]


def test_a_bar_of_a_group_that_was_left_out_is_not_mentioned(results: Results) -> None:
    assert "TLS" not in markdown([results])


def test_a_program_that_failed_has_a_row_without_figures(results: Results) -> None:
    rows = [line for line in markdown([results]).splitlines() if line.startswith("| asyncio streams")]
    assert [cell.strip() for cell in rows[0].strip("|").split("|")][1:4] == ["asyncio", "–", ""]


def test_lines_of_a_table_are_equally_long(results: Results) -> None:
    for block in markdown([results]).split("\n\n"):
        if block.startswith("|"):
            assert len({len(line) for line in block.splitlines()}) == 1


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.8, "0.80"), (12.34, "12.3"), (276.4, "276")])
def test_numbers_show_the_digits_that_count(value: float | None, text: str) -> None:
    assert number(value) == text


def drawn(run: Results) -> ET.Element:
    return ET.fromstring(picture(run)["benchmarks-light.svg"])


def test_picture_has_a_bar_for_each_figure_of_the_short_comparison(results: Results) -> None:
    root = drawn(results)
    assert root.tag == f"{SVG}svg"
    ground, bars = 1, 4 + 3  # 1 in flight: also the release
    assert len(root.findall(f"{SVG}rect")) == ground + bars
    words = [element.text for element in root.findall(f"{SVG}text")]
    assert {"TCP, 1 in flight", "TCP, 16 in flight", "this library, looping handler", "7.27"} <= set(words)
    assert "UDP, 8 sockets" not in words
    assert "AnyIO" not in words


def test_bars_of_a_column_are_as_long_as_their_figures(results: Results) -> None:
    bars = [float(bar.get("width", "")) for bar in drawn(results).findall(f"{SVG}rect")][1:]
    # The first column: looping handler (7 / 7.5), generator per request (7 / 8.2), hand-written.
    assert bars[0] / bars[2] == pytest.approx(7 / 7.5, rel=0.01)
    assert bars[1] / bars[2] == pytest.approx(7 / 8.2, rel=0.01)


def test_picture_of_nothing_is_well_formed() -> None:
    assert drawn(results_of()).tag == f"{SVG}svg"


def test_short_comparison_shows_the_ratios_of_the_complete_tables(results: Results) -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in summary_table([results], TCP).splitlines()
    ]
    assert rows[0] == ["server on uvloop", "TCP, 1 in flight, Python 3.11", "TCP, 16 in flight, Python 3.11"]
    assert ["this library, looping handler", "0.93", "7.27"] in rows
    assert ["EasyNetwork 1.2", "0.43", "–"] in rows
    assert not any(row[0] in ("AnyIO", "Twisted") for row in rows)


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_the_short_comparison_are_programs(row: str) -> None:
    assert any(f"{column.group}/{ROWS[row]}" in PROGRAMS for column in COLUMNS)


def test_saved_file_holds_the_runs(results: Results, tmp_path: Path) -> None:
    save([results], tmp_path / "folder" / "latest.json")
    assert from_json((tmp_path / "folder" / "latest.json").read_text()) == [results]


def test_figures_of_the_repository_are_those_of_its_latest_run() -> None:
    runs = from_json(LATEST.read_text())
    for page, part in generated(runs).items():
        assert part in (ROOT / page).read_text()
    for name, text in picture(runs[0]).items():
        assert (ROOT / PICTURES / name).read_text() == text


def pages_in(folder: Path) -> list[Path]:
    (folder / PICTURES).mkdir(parents=True)
    pages = [folder / name for name in generated([results_of()])]
    for page in pages:
        page.write_text(
            "My words.\n\n<!-- benchmarks: generated from here -->\n<!-- benchmarks: to here -->\nMore words.\n"
        )
    return pages


def test_pages_keep_what_was_written_around_the_figures(results: Results, tmp_path: Path) -> None:
    pages = pages_in(tmp_path)
    update_docs([results_of()], tmp_path)
    update_docs([results], tmp_path)
    for page, part in zip(pages, generated([results]).values(), strict=True):
        text = page.read_text()
        assert text.startswith("My words.\n")
        assert text.endswith("\nMore words.\n")
        assert text.count(part) == 1
    assert {path.name: path.read_text() for path in (tmp_path / PICTURES).iterdir()} == picture(results)


def test_a_page_without_a_place_for_the_figures_is_refused_and_no_other_is_changed(
    results: Results, tmp_path: Path
) -> None:
    readme, page = pages_in(tmp_path)
    before = readme.read_text()
    page.write_text("only prose")
    with pytest.raises(ValueError, match=r"benchmarks\.md"):
        update_docs([results], tmp_path)
    assert page.read_text() == "only prose"
    assert readme.read_text() == before
