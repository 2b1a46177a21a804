"""Format the results as Markdown tables, aligned so that they are readable on a terminal too."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from statistics import median
from typing import Any

from benchmarks.catalogue import GROUPS, LOOPS, PROGRAMS, READINGS, Group, Workload
from benchmarks.results import Results, median_or_none, quartiles
from benchmarks.targets import Verdict, evaluate

__all__ = ["heading", "markdown", "number", "number_range", "python_name", "table"]

_Row = tuple[float, list[str]]  # sorted by the figure


_EXPLANATION = """\
Ratio: the CPU per message of the group's first program on its first loop, divided by that of this program in the same
round; the median of the rounds, higher is better. User: the same of the CPU outside of the kernel. It comes from
samples, so it is coarse where it is small. Rounds: the quartiles of the ratio to their left."""


def markdown(runs: Sequence[Results]) -> str:
    """Return all results of some runs as Markdown."""
    parts = [*map(heading, runs), _EXPLANATION, "## Bars", _verdict_table(runs)]
    failures = [(run, failure) for run in runs for failure in run.failures]
    if failures:
        rows = [[failure.program, failure.loop, python_name(run), _short(failure.reason)] for run, failure in failures]
        parts += ["## Not available", table(["program", "loop", "Python", "why"], rows)]
    for run in runs:
        parts.append(f"## Python {_version(run)}")
        for group in GROUPS.values():
            parts += _group(run, group)
    return "\n\n".join(parts) + "\n"


def python_name(run: Results) -> str:
    """Return the version of the run's Python, such as 3.11."""
    return "{}.{}".format(*run.python)


def _version(run: Results) -> str:
    return str(run.machine["python"]).split()[1]


def _short(reason: str) -> str:
    return textwrap.shorten(reason, 120)


def heading(run: Results) -> str:
    machine = run.machine
    rounds = max((sample.round for sample in run.samples), default=run.settings.get("rounds", 1))
    peers = "".join(
        f", {name} {machine[name]}" for name in ("trio", "anyio", "twisted", "aiofastnet") if machine.get(name)
    )
    acceleration = f", this library {machine['acceleration']}" if machine.get("acceleration") else ""
    words = (
        f"{machine['python']}{acceleration}, uvloop {machine['uvloop']}{peers}; "
        f"{machine['cpu']} ({machine['cores']} cores), {machine['system']}, {machine['date']}; "
        f"medians of {rounds} rounds."
    )
    return f"{words} {_quietness(machine)}".strip()


def _quietness(machine: dict[str, Any]) -> str:
    """Return how quiet the machine was, or nothing if the run did not record it."""
    if "load_average" not in machine:
        return ""
    before, after = machine["load_average"]
    return (
        f"Load average {before:.2f} before the run and {after:.2f} at its end, with the benchmark itself. Other "
        f"processes used {machine['others']:.1%} of the machine's CPU, and the host took {machine['stolen']:.1%}."
    )


def _group(results: Results, group: Group) -> list[str]:
    """Return the tables of one group, or nothing if no program of it was measured."""
    parts: list[str] = []
    for workload in group.workloads:
        if rows := _rows(group, partial(_load_row, results, group, workload)):
            unit = workload.unit
            header = ["program", "loop", f"CPU µs/{unit}", "ratio", "rounds", "user µs", "user ratio", "rounds"]
            header += [f"{unit}s/s", "p50 µs", "p99 µs", "busy"]
            parts += [f"#### {group.title}: {workload.title}", table(header, rows)]
    keys = {group.key(program) for program in group.programs}
    names = [name for name in READINGS if any(r.program in keys and r.name == name for r in results.readings)]
    if names:
        rows = _rows(group, partial(_reading_row, results, names))
        parts.append(table(["program", "loop", *(READINGS[name] for name in names)], rows))
    return [f"### {group.title}", *parts] if parts else []


def _rows(group: Group, row: Callable[[str, str], _Row | None]) -> list[list[str]]:
    """Return the rows that *row* makes for each program and loop, the smallest figure first."""
    keys = [group.key(program) for program in group.programs]
    found = [made for key in keys for loop in LOOPS if (made := row(key, loop)) is not None]
    return [cells for _, cells in sorted(found, key=lambda made: made[0])]


def _load_row(results: Results, group: Group, workload: Workload, key: str, loop: str) -> _Row | None:
    title = PROGRAMS[key].title
    samples = results.select(key, loop, workload.name)
    if not samples:
        return (math.inf, [title, loop, "–", *[""] * 9]) if results.has_failed(key, loop) else None
    cpu = median(sample.cpu_us for sample in samples)
    place = key, group.baseline, loop, workload.name, group.loops[0]
    ratios, user_ratios = results.cpu_ratios(*place), results.user_ratios(*place)
    return cpu, [
        title,
        loop,
        number(cpu),
        number(median_or_none(ratios)),
        number_range(ratios),
        number(results.user_us(key, loop, workload.name)),
        number(median_or_none(user_ratios)),
        number_range(user_ratios),
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


def _verdict_table(runs: Sequence[Results]) -> str:
    """Return the bars of the groups that were measured, one row for each run."""
    verdicts = [zip(runs, made, strict=True) for made in zip(*map(evaluate, runs), strict=True)]
    rows = [
        [
            verdict.target.title,
            python_name(run),
            _bound(verdict),
            number(verdict.value),
            number_range(verdict.figures),
            number(median_or_none(verdict.user_figures)) if verdict.target.user_figures else "",
            number_range(verdict.user_figures),
            _word(verdict),
        ]
        for of_a_target in verdicts
        for run, verdict in of_a_target
        if verdict.target.group in {key.partition("/")[0] for key in run.programs()}
    ]
    header = ["ratio of CPU per message, unless stated otherwise", "Python", "bar", "measured", "rounds"]
    return table([*header, "user", "rounds", ""], rows)


def _bound(verdict: Verdict) -> str:
    low, high, target = verdict.at_least, verdict.at_most, verdict.target
    if low is None and high is None:
        return "none"
    if low == high:
        bound = f"= {low:g}"
    else:
        bound = f"≥ {low:g}" if low is not None else f"≤ {high:g}"
    return f"{'aim ' if target.aim else ''}{bound} {target.unit}".strip()


def number_range(figures: Sequence[float]) -> str:
    """Return the quartiles of several figures, joined by "to": a dash would clash with a minus sign."""
    if len(figures) < 2:
        return ""
    low, _, high = quartiles(figures)
    return f"{number(low)} to {number(high)}"


def _word(verdict: Verdict) -> str:
    if verdict.passed is None:
        return "not measured"
    if verdict.passed:
        return "" if _bound(verdict) == "none" else "pass"
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
