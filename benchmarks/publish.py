"""Write the results to `benchmarks/results/latest.*` and to the documentation page."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chart import svg
from benchmarks.peers import ROOT
from benchmarks.report import markdown
from benchmarks.results import Results

__all__ = ["save", "update_docs"]

_BEGIN, _END = "<!-- benchmarks: generated from here -->", "<!-- benchmarks: to here -->"
_CHART = "![CPU per message, and memory]({})"
_NEW_PAGE = f"""# Benchmarks

All programs of a group do the same job, mostly an echo of lines. The tables show the CPU time of one message, and its
ratio to the program that an expert writes by hand (higher is better). `python benchmarks/run.py --docs` measures again
and rewrites this page; `benchmarks/README.md` describes the method.

{_BEGIN}
{_END}
"""


def save(results: Results, folder: Path = ROOT / "benchmarks" / "results") -> None:
    """Write latest.json, latest.svg and latest.md into *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(results.to_json())
    (folder / "latest.svg").write_text(svg(results))
    (folder / "latest.md").write_text(f"# Latest benchmark\n\n{_CHART.format('latest.svg')}\n\n{markdown(results)}")


def update_docs(results: Results, folder: Path = ROOT / "docs") -> None:
    """Replace the generated part of benchmarks.md in *folder*, and its chart. Create a missing page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "benchmarks.md"
    text = page.read_text() if page.exists() else _NEW_PAGE
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} must contain the lines {_BEGIN!r} and {_END!r}: the tables go between them")
    generated = f"{_CHART.format('benchmarks.svg')}\n\n{markdown(results)}"
    page.write_text(f"{before}{_BEGIN}\n\n{generated}\n{_END}{after}")
    (folder / "benchmarks.svg").write_text(svg(results))
