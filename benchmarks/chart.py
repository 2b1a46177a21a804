"""Draw the results as one SVG: a panel for each workload and reading, a bar for each program and loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from xml.etree import ElementTree as ET

from benchmarks.catalogue import GROUPS, LOOPS, PROGRAMS, READINGS, Group
from benchmarks.report import number
from benchmarks.results import Results

__all__ = ["svg"]

_PANEL_WIDTH = 680
_LABEL_WIDTH = 360
_VALUE_WIDTH = 50
_BAR_HEIGHT = 10
_GAP = 8
_HEADER = 44
_COLUMNS = 2
# Blue: this project. Grey: all others. The paler shade is asyncio's own loop.
_COLOURS = {(True, False): "#1f5fbf", (True, True): "#9dbfee", (False, False): "#6b6b6b", (False, True): "#c4c4c4"}


@dataclass(frozen=True)
class _Panel:
    heading: str
    values: dict[str, dict[str, float]]  # program -> loop -> figure

    @property
    def height(self) -> int:
        return _HEADER + sum(len(loops) * _BAR_HEIGHT + _GAP for loops in self.values.values())


def svg(results: Results) -> str:
    """Return a self-contained SVG document. Shorter bars are better in every panel."""
    panels = [panel for panel in _panels(results) if panel.values]
    rows = [panels[start : start + _COLUMNS] for start in range(0, len(panels), _COLUMNS)]
    heights = [max(panel.height for panel in row) + 24 for row in rows]
    width, height = _PANEL_WIDTH * _COLUMNS, sum(heights) + 40
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {width} {height}",
            "font-family": "system-ui, sans-serif",
            "font-size": "11",
            "role": "img",
        },
    )
    ET.SubElement(root, "title").text = "CPU per message, and memory; shorter is better"
    _rectangle(root, 0, 0, width, height, "#ffffff")
    _legend(root)
    top = 40
    for row, row_height in zip(rows, heights, strict=True):
        for column, panel in enumerate(row):
            _draw(root, panel, column * _PANEL_WIDTH, top)
        top += row_height
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _panels(results: Results) -> list[_Panel]:
    panels = []
    for group in GROUPS.values():
        for workload in group.workloads:
            heading = f"{group.title}: {workload.title}: µs of CPU per {workload.unit}"
            panels.append(_panel(group, heading, partial(results.cpu_us, workload=workload.name)))
        for name, words in READINGS.items():
            panels.append(_panel(group, f"{group.title}: {words}", partial(results.reading, name=name)))
    return panels


def _panel(group: Group, heading: str, figure: Callable[[str, str], float | None]) -> _Panel:
    values: dict[str, dict[str, float]] = {}
    for program, loop in product(group.programs, LOOPS):
        if (value := figure(group.key(program), loop)) is not None:
            values.setdefault(group.key(program), {})[loop] = value
    return _Panel(heading, values)


def _draw(root: ET.Element, panel: _Panel, left: int, top: int) -> None:
    _text(root, left + 16, top + 16, panel.heading, **{"font-size": "13", "font-weight": "bold"})
    longest = max(value for loops in panel.values.values() for value in loops.values()) or 1.0
    room = _PANEL_WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    y = top + _HEADER - 16
    for program, loops in panel.values.items():
        middle = y + len(loops) * _BAR_HEIGHT / 2 + 4
        _text(root, left + _LABEL_WIDTH - 6, middle, PROGRAMS[program].title, **{"text-anchor": "end"})
        for loop, value in loops.items():
            length = max(value / longest * room, 1)
            _rectangle(root, left + _LABEL_WIDTH, y, length, _BAR_HEIGHT - 1, _colour(program, loop))
            _text(root, left + _LABEL_WIDTH + length + 4, y + 8.5, number(value), **{"font-size": "10"})
            y += _BAR_HEIGHT
        y += _GAP


def _legend(root: ET.Element) -> None:
    x = 16
    for program, loop, words in (
        ("/ours", "uvloop", "ours"),
        ("/ours", "asyncio", "ours on asyncio"),
        ("", "uvloop", "others"),
        ("", "asyncio", "others on asyncio"),
    ):
        _rectangle(root, x, 12, 12, 10, _colour(program, loop))
        _text(root, x + 17, 21, words)
        x += 130
    _text(root, x + 10, 21, "Shorter is better.")


def _colour(program: str, loop: str) -> str:
    return _COLOURS["/ours" in program, loop == "asyncio"]


def _rectangle(root: ET.Element, x: float, y: float, width: float, height: float, fill: str) -> None:
    place = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:.1f}", "height": f"{height:g}"}
    ET.SubElement(root, "rect", {**place, "fill": fill})


def _text(root: ET.Element, x: float, y: float, words: str, **attributes: str) -> None:
    ET.SubElement(root, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": "#1a1a1a", **attributes}).text = words
