"""Write the results to `benchmarks/results/latest.json`, and the figures in the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.chart import svg
from benchmarks.peers import ROOT
from benchmarks.report import markdown
from benchmarks.results import Results, to_json
from benchmarks.summary import COLUMNS, TCP, summary_table

__all__ = ["LATEST", "generated", "replaced", "save", "update_docs"]

LATEST = ROOT / "benchmarks" / "results" / "latest.json"

_BEGIN, _END = "<!-- benchmarks: generated from here -->", "<!-- benchmarks: to here -->"
_PICTURE = "![Requests per second of CPU, compared with a hand-written Protocol](benchmarks.svg)"


def generated(runs: Sequence[Results]) -> dict[str, str]:
    """Return the generated part of each page, by its path in the repository."""
    page = "\n\n".join([_PICTURE, summary_table(runs, COLUMNS), markdown(runs)]).strip()
    return {"README.md": summary_table(runs, TCP), "docs/benchmarks.md": page}


def save(runs: Sequence[Results], path: Path = LATEST) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(runs))


def update_docs(runs: Sequence[Results], root: Path = ROOT) -> None:
    """Replace the generated parts of the pages in *root*, and the picture. It shows the first run."""
    new = {root / name: replaced(root / name, part) for name, part in generated(runs).items()}
    for page, text in new.items():
        page.write_text(text)
    (root / "docs" / "benchmarks.svg").write_text(svg(runs[0]))


def replaced(page: Path, part: str) -> str:
    """Return the text of *page* with *part* in place of its generated part."""
    before, begin, rest = page.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} must contain the lines {_BEGIN!r} and {_END!r}: the figures go between them")
    return f"{before}{_BEGIN}\n\n{part}\n\n{_END}{after}"
