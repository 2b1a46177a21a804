"""Draw the short comparison as an SVG: a row for each server, a column of bars for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from benchmarks.report import number
from benchmarks.results import Results
from benchmarks.summary import COLUMNS, ROWS, Column, figure

__all__ = ["svg"]

_LABEL_WIDTH = 290
_COLUMN_WIDTH = 160
_VALUE_WIDTH = 36  # of the figure behind the longest bar
_ROW_HEIGHT = 24
_BAR_HEIGHT = 16
_TOP = 84
_MARGIN = 16
_OURS, _OTHERS, _LINE, _TEXT = "#1f5fbf", "#9a9a9a", "#1a1a1a", "#1a1a1a"
# An opaque card is readable on light and on dark pages.
_CARD = {"fill": "#ffffff", "stroke": "#d0d0d0", "rx": "8"}


def svg(run: Results) -> str:
    """Return a self-contained SVG document."""
    columns = [column for column in COLUMNS if any(figure(run, row, column) is not None for row in ROWS)]
    rows = [row for row in ROWS if any(figure(run, row, column) is not None for column in columns)]
    width = _LABEL_WIDTH + _COLUMN_WIDTH * len(COLUMNS) + _MARGIN
    height = _TOP + _ROW_HEIGHT * len(rows) + _MARGIN
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
            "role": "img",
        },
    )
    ET.SubElement(root, "title").text = "Requests per second of CPU, compared with a hand-written asyncio Protocol"
    _rectangle(root, 0.5, 0.5, width - 1, height - 1, **_CARD)
    _text(
        root, _MARGIN, 26, "Requests per second of CPU; longer is better", **{"font-size": "15", "font-weight": "bold"}
    )
    words = f"Echo of 100 bytes, {run.machine['python']}, uvloop {run.machine['uvloop']}. "
    _text(root, _MARGIN, 45, f"{words}The hand-written asyncio Protocol is 1 (vertical line).")
    for number_of_row, row in enumerate(rows):
        weight = "bold" if _is_ours(row) else "normal"
        middle = _TOP + _ROW_HEIGHT * number_of_row + _BAR_HEIGHT / 2 + 4
        _text(root, _LABEL_WIDTH - 10, middle, row, **{"text-anchor": "end", "font-weight": weight})
    for number_of_column, column in enumerate(columns):
        _draw_column(root, run, rows, column, _LABEL_WIDTH + _COLUMN_WIDTH * number_of_column)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _draw_column(root: ET.Element, run: Results, rows: Sequence[str], column: Column, left: int) -> None:
    values = [figure(run, row, column) for row in rows]
    unit = (_COLUMN_WIDTH - _VALUE_WIDTH - _MARGIN) / max(value for value in values if value is not None)
    _text(root, left, _TOP - 12, column.title, **{"font-weight": "bold"})
    for number_of_row, (row, value) in enumerate(zip(rows, values, strict=True)):
        if value is None:
            continue
        top = _TOP + _ROW_HEIGHT * number_of_row
        _rectangle(root, left, top, value * unit, _BAR_HEIGHT, fill=_OURS if _is_ours(row) else _OTHERS)
        _text(root, left + max(value, 1) * unit + 5, top + 12, number(value))
    bottom = _TOP + _ROW_HEIGHT * len(rows) - (_ROW_HEIGHT - _BAR_HEIGHT)
    _rectangle(root, left + unit - 0.5, _TOP - 4, 1, bottom - _TOP + 8, fill=_LINE)


def _is_ours(row: str) -> bool:
    return ROWS[row].startswith("ours-")


def _rectangle(root: ET.Element, x: float, y: float, width: float, height: float, **attributes: str) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    ET.SubElement(root, "rect", {**place, **attributes})


def _text(root: ET.Element, x: float, y: float, words: str, **attributes: str) -> None:
    ET.SubElement(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": _TEXT, **attributes}).text = words
