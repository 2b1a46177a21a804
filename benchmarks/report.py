"""The results as Markdown tables, aligned so that they read well on a terminal too."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.catalogue import BASELINE, SERVERS, WORKLOADS
from benchmarks.results import Results
from benchmarks.targets import Verdict, evaluate

__all__ = ["markdown"]


def markdown(results: Results) -> str:
    """All that a run says, as one Markdown text."""
    parts = [_machine(results)]
    for workload in WORKLOADS:
        if any(sample.workload == workload for sample in results.samples):
            parts += [f"### {WORKLOADS[workload].title}", _workload_table(results, workload)]
    if results.memory:
        parts += [f"### {results.memory[0].connections} idle connections", _memory_table(results)]
    parts += ["### Bars", _verdict_table(evaluate(results))]
    if results.failures:
        rows = [[_title(failure.server), failure.loop, failure.reason] for failure in results.failures]
        parts += ["### Not measured", _table(["server", "loop", "why"], rows)]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    machine, ours = results.machine, results.machine["ours"]
    rounds = max((sample.round for sample in results.samples), default=0)
    return (
        f"{ours['python']}, uvloop {ours['uvloop']}, {machine['cpu']} ({machine['cores']} cores), "
        f"{machine['system']}, {machine['date']}; medians of {rounds} rounds."
    )


def _workload_table(results: Results, workload: str) -> str:
    header = ["server", "loop", "CPU µs/msg", "ratio", "msg/s", "p50 µs", "p99 µs", "server busy"]
    rows = []
    for server, loop in results.rows():
        cpu = results.cpu_us(server, loop, workload)
        if cpu is None:
            continue
        median = [
            results.median(server, loop, workload, figure)
            for figure in (lambda s: s.rate, lambda s: s.p50_us, lambda s: s.p99_us, lambda s: s.utilisation)
        ]
        rate, p50, p99, busy = (0.0 if value is None else value for value in median)
        ratio = results.cpu_ratio(server, BASELINE.name, loop, workload, peer_loop="uvloop")
        cells = [_number(cpu), _number(ratio), f"{rate:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}", f"{busy:.0%}"]
        rows.append((cpu, [_title(server), loop, *cells]))
    return _table(header, [cells for _, cells in sorted(rows)])


def _memory_table(results: Results) -> str:
    ordered = sorted(results.memory, key=lambda sample: sample.used_kib)
    rows = [[_title(m.server), m.loop, f"{m.used_kib:.1f}", f"{m.silent_kib:.1f}"] for m in ordered]
    return _table(["server", "loop", "KiB each, after a message", "KiB each, never used"], rows)


def _verdict_table(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        target = verdict.target
        bound = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
        words = {None: "not measured", True: "pass", False: "short of the aim" if target.aim else "**FAIL**"}
        kind = "aim " if target.aim else ""
        rows.append(
            [target.title, f"{kind}{bound} {target.unit}".strip(), _number(verdict.value), words[verdict.passed]]
        )
    return _table(["CPU for a message on uvloop, and memory", "bar", "measured", ""], rows)


def _title(server: str) -> str:
    return SERVERS[server].title if server in SERVERS else server


def _number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; columns whose cells begin with a digit are aligned to the right."""
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
