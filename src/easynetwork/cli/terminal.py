"""Print tables and progress: with `rich` on a terminal, as plain lines everywhere else."""

from __future__ import annotations

__all__ = ["print_table", "progress"]

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_LINES = 1.0


def _console() -> Console | None:
    """Return the console for rich output, or None if the output must be plain."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False)


@contextmanager
def progress(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how much of *total* is done. Call the yielded function with the current count, as often as you like."""
    console = _console()
    with _lines(total, unit) if console is None else _bar(console, total, unit) as update:
        yield update


@contextmanager
def _bar(console: Console, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

    start = time.monotonic()
    columns = (BarColumn(bar_width=None), TaskProgressColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    # Without auto_refresh: its thread would compete with the load for the interpreter.
    with Progress(*columns, console=console, auto_refresh=False, expand=True, transient=True) as bar:
        task = bar.add_task("", total=total, rate="")

        def update(done: int) -> None:
            bar.update(task, completed=done, rate=_rate(done, start, unit), refresh=True)

        yield update


@contextmanager
def _lines(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    start = time.monotonic()
    last = start

    def update(done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f"  {done:,} of {total:,} {unit} ({done / total:.0%}), {_rate(done, start, unit)}", flush=True)

    yield update


def _rate(done: int, start: float, unit: str) -> str:
    return f"{done / max(time.monotonic() - start, 1e-9):,.0f} {unit}/s"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int) -> None:
    """Print *rows* below *header*. The first *text_columns* columns are text, the others are figures."""
    console = _console()
    if console is None:
        _print_plain_table([header, *rows], text_columns)
        return
    from rich.table import Table

    table = Table()
    for number, title in enumerate(header):
        table.add_column(title, justify="left" if number < text_columns else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _print_plain_table(lines: Sequence[Sequence[str]], text_columns: int) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell.ljust(width) if number < text_columns else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
