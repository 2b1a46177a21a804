"""The short comparison: a few servers under a few workloads. README, the page and the picture show these figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.catalogue import GROUPS
from benchmarks.report import number, python_name, table
from benchmarks.results import Results

__all__ = ["COLUMNS", "ROWS", "TCP", "Column", "figure", "summary_table", "when_and_where"]

# The title of each row, and the name of its program in every group that has one.
ROWS = {
    "this library, looping handler": "ours-full-loop",
    "this library, a generator per request": "ours-full",
    "pure Python, looping handler": "pure-full-loop",
    "pure Python, a generator per request": "pure-full",
    "hand-written Protocol": "protocol",
    "hand-written Protocol on aiofastnet": "protocol-aiofastnet",
    "asyncio streams": "streams",
    "AnyIO": "anyio",
    "Twisted": "twisted",
    "EasyNetwork 1.2": "released-full",
}


@dataclass(frozen=True)
class Column:
    title: str
    group: str
    workload: str


TCP = (Column("TCP, 1 in flight", "tcp", "1x100"), Column("TCP, 16 in flight", "tcp", "16x100"))
COLUMNS = (*TCP, Column("TLS, 16 in flight", "tls", "16x100"), Column("UDP, 8 sockets", "udp", "8-sockets"))


def figure(run: Results, row: str, column: Column) -> float | None:
    """Return the requests per second of CPU of the program in *row*, where those of the hand-written one are 1.

    This is the ratio in the complete tables: the median of the rounds. It is None if the run did not measure it.
    """
    group = GROUPS[column.group]
    return run.cpu_ratio(f"{group.name}/{ROWS[row]}", group.baseline, group.loops[0], column.workload)


def summary_table(runs: Sequence[Results], columns: Sequence[Column]) -> str:
    """Return a table with *columns* for each run. Leave out the rows without any figure."""
    header = ["server on uvloop", *(f"{column.title}, Python {python_name(run)}" for run in runs for column in columns)]
    rows = [[row, *(number(figure(run, row, column)) for run in runs for column in columns)] for row in ROWS]
    return table(header, [row for row in rows if set(row[1:]) != {number(None)}])


def when_and_where(runs: Sequence[Results]) -> str:
    """Return one sentence about the measurement."""
    machine = runs[0].machine
    dates = " and ".join(sorted({str(run.machine["date"])[:10] for run in runs}))
    return f"Measured on {dates}, {machine['cpu']} ({machine['cores']} cores)."
