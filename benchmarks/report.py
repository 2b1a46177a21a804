"""The results as Markdown tables, aligned so that they read well on a terminal too."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.catalogue import BASELINE, LOOPS, SERVERS, WORKLOADS
from benchmarks.results import Results
from benchmarks.targets import Verdict, evaluate

__all__ = ["markdown", "number", "table"]


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
        rows = [[SERVERS[failure.server].title, failure.loop, failure.reason] for failure in results.failures]
        parts += ["### Not measured", table(["server", "loop", "why"], rows)]
    return "\n\n".join(parts) + "\n"


def _machine(results: Results) -> str:
    machine = results.machine
    rounds = max((sample.round for sample in results.samples), default=0)
    return (
        f"{machine['python']}, uvloop {machine['uvloop']}, {machine['cpu']} ({machine['cores']} cores), "
        f"{machine['system']}, {machine['date']}; medians of {rounds} rounds.\n\n"
        "Ratio: the CPU that the hand-written Protocol on uvloop takes for a message, divided by the CPU that this one "
        "takes: higher is better. Spread: how far the rounds lie apart."
    )


def _workload_table(results: Results, workload: str) -> str:
    """The servers under one workload, the cheapest first."""
    header = ["server", "loop", "CPU µs/msg", "spread", "ratio", "msg/s", "p50 µs", "p99 µs", "server busy"]
    rows: list[tuple[float, list[str]]] = []
    for server in SERVERS.values():
        for loop in LOOPS:
            samples = results.select(server.name, loop, workload)
            if not samples:
                continue
            cpu = median(sample.cpu_us for sample in samples)
            cells = [
                server.title,
                loop,
                number(cpu),
                f"{results.spread(server.name, loop, workload):.0%}",
                number(results.cpu_ratio(server.name, BASELINE.name, loop, workload, peer_loop="uvloop")),
                f"{median(sample.rate for sample in samples):,.0f}",
                f"{median(sample.p50_us for sample in samples):,.0f}",
                f"{median(sample.p99_us for sample in samples):,.0f}",
                f"{median(sample.utilisation for sample in samples):.0%}",
            ]
            rows.append((cpu, cells))
    return table(header, [cells for _, cells in sorted(rows)])


def _memory_table(results: Results) -> str:
    ordered = sorted(results.memory, key=lambda sample: sample.used_kib)
    rows = [[SERVERS[m.server].title, m.loop, f"{m.used_kib:.1f}", f"{m.silent_kib:.1f}"] for m in ordered]
    return table(["server", "loop", "KiB each, after a message", "KiB each, never used"], rows)


def _verdict_table(verdicts: Sequence[Verdict]) -> str:
    rows = []
    for verdict in verdicts:
        target = verdict.target
        bound = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
        words = {None: "not measured", True: "pass", False: "short of the aim" if target.aim else "**FAIL**"}
        kind = "aim " if target.aim else ""
        rows.append(
            [target.title, f"{kind}{bound} {target.unit}".strip(), number(verdict.value), words[verdict.passed]]
        )
    return table(["CPU for a message on uvloop, and memory", "bar", "measured", ""], rows)


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def table(header: list[str], rows: list[list[str]]) -> str:
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
