"""Format the results as Markdown tables, aligned so that they are readable on a terminal too."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median

from benchmarks.catalogue import GROUPS, LOOPS, PROGRAMS, READINGS, Group, Workload
from benchmarks.results import Results, quartiles
from benchmarks.targets import Target, Verdict, evaluate

__all__ = ["markdown", "number", "table"]

_Row = tuple[float, list[str]]  # sorted by the figure


def markdown(results: Results) -> str:
    """Return all results of a run as Markdown."""
    groups = {key.partition("/")[0] for key in results.programs()}
    verdicts = [verdict for verdict in evaluate(results) if verdict.target.group in groups]
    parts = [_machine(results), "## Bars", _verdict_table(verdicts)]
    if results.failures:
        rows = [[failure.program, failure.loop, textwrap.shorten(failure.reason, 120)] for failure in results.failures]
        parts += ["## Not available", table(["program", "loop", "why"], rows)]
    for group in GROUPS.values():
        parts += _group(results, group)
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    machine = results.machine
    rounds = max((sample.round for sample in results.samples), default=1)
    return (
        f"{machine['python']}, uvloop {machine['uvloop']}, {machine['cpu']} ({machine['cores']} cores), "
        f"{machine['system']}, {machine['date']}; medians of {rounds} rounds.\n\n"
        "Ratio: the CPU per message of the group's first program on its first loop, divided by that of this program in "
        "the same round; the median of the rounds, higher is better. Rounds: the range of the middle half of the "
        "rounds. Spread: the width of that range in CPU, as a share of the median."
    )


def _group(results: Results, group: Group) -> list[str]:
    """Return the tables of one group, or nothing if no program of it was measured."""
    parts: list[str] = []
    for workload in group.workloads:
        if rows := _rows(group, partial(_load_row, results, group, workload)):
            unit = workload.unit
            header = ["program", "loop", f"CPU µs/{unit}", "spread", "ratio", f"{unit}s/s", "p50 µs", "p99 µs", "busy"]
            parts += [f"### {group.title}: {workload.title}", table(header, rows)]
    keys = {group.key(program) for program in group.programs}
    names = [name for name in READINGS if any(r.program in keys and r.name == name for r in results.readings)]
    if names:
        rows = _rows(group, partial(_reading_row, results, names))
        parts.append(table(["program", "loop", *(READINGS[name] for name in names)], rows))
    return [f"## {group.title}", *parts] if parts else []


def _rows(group: Group, row: Callable[[str, str], _Row | None]) -> list[list[str]]:
    """Return the rows that *row* makes for each program and loop, the smallest figure first."""
    keys = [group.key(program) for program in group.programs]
    found = [made for key in keys for loop in LOOPS if (made := row(key, loop)) is not None]
    return [cells for _, cells in sorted(found, key=lambda made: made[0])]


def _load_row(results: Results, group: Group, workload: Workload, key: str, loop: str) -> _Row | None:
    title = PROGRAMS[key].title
    samples = results.select(key, loop, workload.name)
    if not samples:
        return (math.inf, [title, loop, "–", *[""] * 6]) if results.has_failed(key, loop) else None
    cpu = median(sample.cpu_us for sample in samples)
    ratio = results.cpu_ratio(key, group.baseline, loop, workload.name, peer_loop=group.loops[0])
    return cpu, [
        title,
        loop,
        number(cpu),
        f"{results.spread(key, loop, workload.name):.0%}",
        number(ratio),
        f"{median(sample.rate for sample in samples):,.0f}",
        _whole(sample.p50_us for sample in samples),
        _whole(sample.p99_us for sample in samples),
        f"{median(sample.utilisation for sample in samples):.0%}",
    ]


def _reading_row(results: Results, names: list[str], key: str, loop: str) -> _Row | None:
    values = [results.reading(key, loop, name) for name in names]
    first = next((value for value in values if value is not None), None)
    if first is None and not results.has_failed(key, loop):
        return None
    return math.inf if first is None else first, [PROGRAMS[key].title, loop, *map(number, values)]


def _whole(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):,.0f}" if known else ""


def _verdict_table(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        target = verdict.target
        rows.append([target.title, _bound(target), number(verdict.value), _range(verdict.figures), _word(verdict)])
    return table(["ratio of CPU per message, unless stated otherwise", "bar", "measured", "rounds", ""], rows)


def _bound(target: Target) -> str:
    if target.at_least is None and target.at_most is None:
        return "none"
    if target.at_least == target.at_most:
        bound = f"= {target.at_least:g}"
    else:
        bound = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
    return f"{'aim ' if target.aim else ''}{bound} {target.unit}".strip()


def _range(figures: Sequence[float]) -> str:
    """Return the quartiles of several figures, joined by "to": a dash would clash with a minus sign."""
    if len(figures) < 2:
        return ""
    low, _, high = quartiles(figures)
    return f"{number(low)} to {number(high)}"


def _word(verdict: Verdict) -> str:
    if verdict.passed is None:
        return "not measured"
    if verdict.passed:
        return "" if _bound(verdict.target) == "none" else "pass"
    return "**FAIL**" if verdict.failed else "short of the aim"


def number(value: float | None) -> str:
    """Format *value* with about three significant digits."""
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table. Columns whose cells all begin with a digit are aligned to the right."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]
    numeric = [bool(rows) and all(not cell or cell[0] in "0123456789–-" for cell in column[1:]) for column in columns]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    return "\n".join([line(header), line(rule), *map(line, rows)])
