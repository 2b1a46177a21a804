"""The report at the end of the demo: a table and a verdict."""

from __future__ import annotations

__all__ = ["Row", "print_report"]

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from easynetwork.cli.demo.answers import Faults
from easynetwork.cli.demo.figures import format_seconds, percentile
from easynetwork.cli.terminal import print_table

_TEXT_COLUMNS = ("Transport", "Loop")
_FIGURES = ("Packets", "Packets/s", "p50", "p99", "Server CPU/packet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The measurements of one transport."""

    transport: str
    loop: str
    packets: int
    """Number of packets to send."""

    seconds: float
    """From the first packet to the last answer."""

    server_cpu_seconds: float
    latencies: array[float]
    """Latencies of the answered packets, in seconds."""

    faults: Faults
    failures: Sequence[str]
    """The reasons why connections ended early."""

    @property
    def good(self) -> bool:
        """Whether every packet was answered correctly."""
        return not self.faults and not self.failures

    def verdict(self) -> str:
        """Return one line that says whether the answers were right."""
        if self.good:
            return f"{self.transport}: all {self.packets:,} packets were answered once, unaltered and in order."
        text = f"{self.transport}: of {self.packets:,} packets {self.faults}"
        if self.failures:
            text += f"; {len(self.failures):,} failed connections, the first: {self.failures[0]}"
        return text

    def cells(self) -> list[str]:
        """Return the row of the table."""
        answered = len(self.latencies)
        if not answered:
            return [self.transport, self.loop, "0", "-", "-", "-", "-"]
        ordered = sorted(self.latencies)
        return [
            self.transport,
            self.loop,
            f"{answered:,}",
            f"{answered / self.seconds:,.0f}",
            format_seconds(percentile(ordered, 50)),
            format_seconds(percentile(ordered, 99)),
            format_seconds(self.server_cpu_seconds / answered),
        ]


def print_report(rows: Sequence[Row]) -> None:
    """Print all rows as a table, and the verdict on each."""
    print_table(_TEXT_COLUMNS + _FIGURES, [row.cells() for row in rows], text_columns=len(_TEXT_COLUMNS))
    for row in rows:
        print(row.verdict())
