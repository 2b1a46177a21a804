"""The pictures in docs/pictures are those that its scripts draw, and can be read: by eyes and by screen readers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest
from tests.docs.pages import DOCS

PICTURES = DOCS / "pictures"
FILES = sorted(PICTURES.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"

# The width of an average letter in DejaVu Sans, the widest of the usual fonts, as a part of the font's size.
REGULAR, BOLD, CODE = 0.6, 0.68, 0.61


class Area(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def is_inside(self, other: Area) -> bool:
        horizontally = other.left <= self.left and self.right <= other.right
        return horizontally and other.top <= self.top and self.bottom <= other.bottom

    def overlaps(self, other: Area) -> bool:
        horizontally = self.left < other.right and other.left < self.right
        return horizontally and self.top < other.bottom and other.top < self.bottom


def area_of_rectangle(element: ET.Element) -> Area:
    x, y, width, height = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
    return Area(x, y, x + width, y + height)


def area_of_text(element: ET.Element) -> Area:
    x, y, size = (float(element.attrib[name]) for name in ("x", "y", "font-size"))
    code = "".join(span.text or "" for span in element)
    letters = len("".join(element.itertext())) - len(code)
    width = size * (letters * (BOLD if "font-weight" in element.attrib else REGULAR) + len(code) * CODE)
    x -= {"start": 0, "middle": width / 2, "end": width}[element.get("text-anchor", "start")]
    return Area(x, y - 0.8 * size, x + width, y + 0.25 * size)


def texts(root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    for element in root.findall(f"{SVG}text"):
        yield "".join(element.itertext()), element


def luminance(colour: str) -> float:
    """Return the relative luminance, as WCAG 2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_files_are_what_the_command_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, PICTURES / "make.py", tmp_path], check=True, timeout=60)
    assert {path.name: path.read_text() for path in FILES} == {
        path.name: path.read_text() for path in tmp_path.iterdir()
    }


def test_each_picture_has_a_light_and_a_dark_version_of_the_same_content() -> None:
    names = {file.name.rpartition("-")[0] for file in FILES}
    assert {file.name for file in FILES} == {f"{name}-{shade}.svg" for name in names for shade in ("light", "dark")}
    for name in names:
        light, dark = (ET.parse(PICTURES / f"{name}-{shade}.svg").getroot() for shade in ("light", "dark"))
        assert "".join(light.itertext()) == "".join(dark.itertext())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
class TestPicture:
    @pytest.fixture
    @staticmethod
    def root(file: Path) -> ET.Element:
        return ET.parse(file).getroot()

    def test_scales_with_its_page_and_loads_nothing(self, file: Path, root: ET.Element) -> None:
        assert root.tag == f"{SVG}svg"
        assert root.get("viewBox", "").startswith("0 0 720 ")
        assert root.get("width") == "100%"
        assert root.get("height") is None
        assert not any(word in file.read_text() for word in ("href", "url(", "@import", "<script", "<image", "<style"))

    def test_tells_screen_readers_what_it_shows(self, root: ET.Element) -> None:
        assert root.get("role") == "img"
        assert [child.tag for child in root[:2]] == [f"{SVG}title", f"{SVG}desc"]
        assert all(child.text for child in root[:2])

    def test_texts_stay_in_their_boxes_and_do_not_overlap(self, root: ET.Element) -> None:
        ground, *boxes = map(area_of_rectangle, root.findall(f"{SVG}rect"))
        areas = {f"{words} at {element.attrib['y']}": area_of_text(element) for words, element in texts(root)}
        for words, area in areas.items():
            assert area.is_inside(ground), words
            assert all(area.is_inside(box) or not area.overlaps(box) for box in boxes), words
        for (words, area), (others, other) in combinations(areas.items(), 2):
            assert not area.overlaps(other), (words, others)

    def test_texts_are_large_and_stand_out(self, root: ET.Element) -> None:
        boxes = [
            (area_of_rectangle(box), box.attrib["fill"])
            for box in root.findall(f"{SVG}rect")
            if box.attrib["fill"] != "none"
        ]
        for words, element in texts(root):
            assert int(element.attrib["font-size"]) >= 13, words
            grounds = [fill for box, fill in boxes if area_of_text(element).is_inside(box)]
            dark, light = sorted(map(luminance, (element.attrib["fill"], grounds[-1])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, words
