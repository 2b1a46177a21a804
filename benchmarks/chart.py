"""Draw the short comparison over TCP: a row for each server, a column of bars for each workload."""

from __future__ import annotations

from collections.abc import Sequence

from docs.pictures.drawing import WIDTH, Drawing, Palette

from benchmarks.report import number
from benchmarks.results import Results
from benchmarks.summary import ROWS, TCP, Column, figure

__all__ = ["draw"]

_LABEL_WIDTH = 328
_COLUMN_WIDTH = (WIDTH - _LABEL_WIDTH) / len(TCP)
_VALUE_WIDTH = 40  # of the figure behind the longest bar
_ROW_HEIGHT = 30
_BAR_HEIGHT = 18
_TOP = 122
_MARGIN = 16

_DESCRIPTION = "A row for each server, a column of bars for each workload. The table on the page has the same figures."


def draw(palette: Palette, run: Results) -> Drawing:
    columns = [column for column in TCP if any(figure(run, row, column) is not None for row in ROWS)]
    rows = [row for row in ROWS if any(figure(run, row, column) is not None for column in columns)]
    title = "Requests per second of CPU, compared with a hand-written asyncio Protocol"
    picture = Drawing(palette, _TOP + _ROW_HEIGHT * len(rows) + _MARGIN, title, _DESCRIPTION)
    picture.heading(
        "Requests per second of CPU; longer is better",
        f"Echo of 100 bytes, {run.machine['python']}, uvloop {run.machine['uvloop']}. Hand-written Protocol = 1.",
    )
    for position, row in enumerate(rows):
        y = _TOP + _ROW_HEIGHT * position + 14
        picture.text(_LABEL_WIDTH - 12, y, row, anchor="end", colour=palette.accent if _is_ours(row) else palette.ink)
    for position, column in enumerate(columns):
        _draw_column(picture, run, rows, column, _LABEL_WIDTH + _COLUMN_WIDTH * position)
    return picture


def _draw_column(picture: Drawing, run: Results, rows: Sequence[str], column: Column, left: float) -> None:
    colours = picture.palette
    values = [figure(run, row, column) for row in rows]
    unit = (_COLUMN_WIDTH - _VALUE_WIDTH - _MARGIN) / max(value for value in values if value is not None)
    picture.text(left, _TOP - 20, column.title, bold=True)
    for position, (row, value) in enumerate(zip(rows, values, strict=True)):
        if value is None:
            continue
        top = _TOP + _ROW_HEIGHT * position
        fill = colours.accent if _is_ours(row) else colours.line
        picture.rectangle(left, top, value * unit, _BAR_HEIGHT, fill=fill, radius=0)
        picture.text(left + max(value, 1) * unit + 6, top + 14, number(value))
    bottom = _TOP + _ROW_HEIGHT * len(rows) - (_ROW_HEIGHT - _BAR_HEIGHT)
    picture.line((left + unit, _TOP - 6), (left + unit, bottom + 6), colour=colours.ink)


def _is_ours(row: str) -> bool:
    return ROWS[row].startswith("ours-")
