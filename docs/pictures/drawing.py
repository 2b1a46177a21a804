"""What the pictures of the documentation share: colours, text, boxes and arrows, as SVG.

A picture is a function that draws with a `Palette`. `versions` makes the light and the dark file of it.
"""

from __future__ import annotations

__all__ = ["DARK", "LIGHT", "WIDTH", "Drawing", "Palette", "versions"]

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from xml.etree import ElementTree as ET

Point: TypeAlias = tuple[float, float]
Anchor: TypeAlias = Literal["start", "middle", "end"]

WIDTH: Final = 720
"""A page of the site is about as wide, in CSS pixels."""

_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_CODE_FONT: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"
_LINE_HEIGHT: Final = 20
_HEAD: Final = 10.0
"""The length of an arrowhead. It is as wide."""


@dataclass(frozen=True)
class Palette:
    """The colours of a version. All texts have a contrast of at least 4.5 on all grounds."""

    ground: str  # of the picture
    surface: str  # of boxes
    tint: str  # of the boxes that matter most
    ink: str
    muted: str  # of what explains
    line: str
    accent: str


# The grounds are opaque: each version can be read on pages of the other one too.
LIGHT: Final = Palette("#ffffff", "#f3f4f6", "#e3edfc", "#1c2024", "#555c66", "#7d8590", "#1a58b8")
DARK: Final = Palette("#17191c", "#25292e", "#1b3154", "#e8eaed", "#aab1bb", "#7d8590", "#8ab8ff")


class Drawing:
    """A picture that is `WIDTH` wide. Texts are Markdown with one mark: code between backticks.

    Parameters:
        palette: the colours.
        height: in the same unit as `WIDTH`.
        title: what the picture shows, as screen readers say it.
        description: the same in more words.
    """

    def __init__(self, palette: Palette, height: float, title: str, description: str) -> None:
        self.palette: Final = palette
        size = {"viewBox": f"0 0 {WIDTH} {_number(height)}", "width": "100%"}
        font = {"font-family": _FONT, "font-size": "14"}
        self._root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **font, "role": "img"})
        ET.SubElement(self._root, "title").text = title
        ET.SubElement(self._root, "desc").text = description
        self.rectangle(0, 0, WIDTH, height, fill=palette.ground)

    def __str__(self) -> str:
        self._root.text = "\n"
        for element in self._root:  # a line each. ET.indent() would put spaces into texts
            element.tail = "\n"
        return ET.tostring(self._root, encoding="unicode") + "\n"

    def heading(self, words: str, *explanation: str) -> None:
        """Write *words* at the top, and the lines of the *explanation* below."""
        self.text(16, 34, words, size=17, bold=True)
        for number, line in enumerate(explanation):
            self.text(16, 57 + _LINE_HEIGHT * number, line, colour=self.palette.muted)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: Anchor = "start",
        colour: str = "",
        size: int = 14,
        bold: bool = False,
    ) -> None:
        """Write *words* on the baseline *y*."""
        style = {"text-anchor": anchor, "fill": colour or self.palette.ink, "font-size": str(size)}
        if bold:
            style["font-weight"] = "600"
        place = {"x": _number(x), "y": _number(y)}
        element = ET.SubElement(self._root, "text", {key: style[key] for key in style if style[key] != "start"} | place)
        element.text, *rest = words.split("`")
        for code, words_after in zip(rest[::2], rest[1::2], strict=True):
            span = ET.SubElement(element, "tspan", {"font-family": _CODE_FONT})
            span.text, span.tail = code, words_after

    def texts(self, x: float, y: float, *lines: str, anchor: Anchor = "start") -> None:
        """Write muted *lines*. The middle of all of them is at *y*."""
        baseline = y - _LINE_HEIGHT * (len(lines) - 1) / 2 + 5
        for number, line in enumerate(lines):
            self.text(x, baseline + _LINE_HEIGHT * number, line, anchor=anchor, colour=self.palette.muted)

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        stroke: str = "none",
        dashed: bool = False,
        radius: float = 6,
    ) -> None:
        place = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
        attributes = {key: _number(value) for key, value in place.items()} | {"fill": fill}
        self._outlined("rect", attributes, stroke, dashed)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        title: str,
        *lines: str,
        dashed: bool = False,
    ) -> None:
        """Draw a box with a bold *title*, and muted *lines* below it, all in its middle."""
        colours = self.palette
        self.rectangle(x, y, width, height, fill=colours.surface, stroke=colours.line, dashed=dashed)
        centre, middle = x + width / 2, y + height / 2
        self.text(centre, middle - _LINE_HEIGHT * len(lines) / 2 + 5, title, anchor="middle", size=15, bold=True)
        if lines:
            self.texts(centre, middle + _LINE_HEIGHT / 2, *lines, anchor="middle")

    def arrow(self, *points: Point, accent: bool = False, dashed: bool = False) -> None:
        """Draw straight lines through *points*, and an arrowhead at the last one."""
        colour = self.palette.accent if accent else self.palette.line
        (x0, y0), (x, y) = points[-2:]
        length = math.hypot(x - x0, y - y0)
        dx, dy = (x - x0) / length, (y - y0) / length
        base = (x - dx * _HEAD, y - dy * _HEAD)
        self.line(*points[:-1], base, colour=colour, dashed=dashed)
        corners = [(base[0] - dy * side, base[1] + dx * side) for side in (_HEAD / 2, -_HEAD / 2)]
        ET.SubElement(self._root, "polygon", {"points": _points((x, y), *corners), "fill": colour})

    def line(self, *points: Point, colour: str = "", dashed: bool = False, width: float = 1.5) -> None:
        attributes = {"points": _points(*points), "fill": "none"}
        self._outlined("polyline", attributes, colour or self.palette.line, dashed, width)

    def dot(self, x: float, y: float) -> None:
        place = {"cx": _number(x), "cy": _number(y), "r": "6"}
        ET.SubElement(self._root, "circle", place | {"fill": self.palette.ink})

    def cross(self, x: float, y: float) -> None:
        for side in (-6, 6):
            self.line((x - 6, y - side), (x + 6, y + side), colour=self.palette.ink, width=3)

    def _outlined(self, tag: str, attributes: dict[str, str], stroke: str, dashed: bool, width: float = 1.5) -> None:
        if stroke != "none":
            attributes = attributes | {"stroke": stroke, "stroke-width": _number(width)}
            if dashed:
                attributes["stroke-dasharray"] = "5 4"
        ET.SubElement(self._root, tag, attributes)


def versions(name: str, draw: Callable[[Palette], Drawing]) -> dict[str, str]:
    """Return the text of the light and of the dark file of a picture, by the names of the files."""
    return {f"{name}-light.svg": str(draw(LIGHT)), f"{name}-dark.svg": str(draw(DARK))}


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _points(*points: Point) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
