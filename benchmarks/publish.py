"""Write the results to `benchmarks/results/latest.json`, and the figures in the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from docs.pictures.drawing import versions

from benchmarks.chart import draw
from benchmarks.peers import ROOT
from benchmarks.report import markdown
from benchmarks.results import Results, to_json
from benchmarks.summary import COLUMNS, TCP, summary_table, when_and_where

__all__ = ["LATEST", "PICTURES", "generated", "picture", "replaced", "save", "update_docs"]

LATEST = ROOT / "benchmarks" / "results" / "latest.json"
PICTURES = "docs/pictures"

_BEGIN, _END = "<!-- benchmarks: generated from here -->", "<!-- benchmarks: to here -->"
_PICTURE = """\
```{image} pictures/benchmarks-light.svg
:class: only-light
:alt: Requests per second of CPU, compared with a hand-written Protocol
```
```{image} pictures/benchmarks-dark.svg
:class: only-dark
:alt: Requests per second of CPU, compared with a hand-written Protocol
```"""


def generated(runs: Sequence[Results]) -> dict[str, str]:
    """Return the generated part of each page, by its path in the repository."""
    page = "\n\n".join([_PICTURE, summary_table(runs, COLUMNS), markdown(runs)]).strip()
    return {"README.md": f"{summary_table(runs, TCP)}\n\n{when_and_where(runs)}", "docs/benchmarks.md": page}


def picture(run: Results) -> dict[str, str]:
    """Return the text of each file of the picture, by its name."""
    return versions("benchmarks", partial(draw, run=run))


def save(runs: Sequence[Results], path: Path = LATEST) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(runs))


def update_docs(runs: Sequence[Results], root: Path = ROOT) -> None:
    """Replace the generated parts of the pages in *root*, and write the picture. It shows the first run."""
    new = {root / name: replaced(root / name, part) for name, part in generated(runs).items()}
    for page, text in new.items():
        page.write_text(text)
    for name, text in picture(runs[0]).items():
        (root / PICTURES / name).write_text(text)


def replaced(page: Path, part: str) -> str:
    """Return the text of *page* with *part* in place of its generated part."""
    before, begin, rest = page.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} must contain the lines {_BEGIN!r} and {_END!r}: the figures go between them")
    return f"{before}{_BEGIN}\n\n{part}\n\n{_END}{after}"
