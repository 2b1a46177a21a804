"""The pages that users and contributors read, and what is marked in them.

A comment above a fenced block says what the block is:

``file: NAME``       a program
``run: CALL``        what a program of the page prints; CALL is ``PROGRAM [after PROGRAM] [while PROGRAM serves]``
``part of: FILE``    some lines of a file
``session: NAME``    what one types into a shell, after ``$``, and what comes out
``command: NAME``    shell commands, which run beside the programs of the page
``not run: REASON``  code or shell commands that no test can run
``fragment``         code that is not a program: what another library's looks like, or some lines of a longer one
"""

from __future__ import annotations

__all__ = ["DOCS", "HOW_TO", "PAGES", "ROOT", "marked_blocks", "number_of_blocks", "write_programs"]

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOW_TO = DOCS / "how-to"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]

_MARKED_BLOCK = re.compile(
    r"^<!-- (file|run|part of|session|command): ([^\n]+?) -->\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def number_of_blocks(page: Path, language: str, mark: str = "") -> int:
    """Return the number of blocks in *language* on the page, or of those with this *mark*."""
    comment = rf"^ *<!-- {mark}[^\n]*-->\n+ *" if mark else "^ *"
    return len(re.findall(rf"{comment}```{language}$", page.read_text(), re.MULTILINE))


def marked_blocks(page: Path, mark: str) -> dict[str, str]:
    """Return the text of each block with this *mark*, by what follows the mark."""
    blocks = [(name, text) for kind, name, text in _MARKED_BLOCK.findall(page.read_text()) if kind == mark]
    assert len(dict(blocks)) == len(blocks), f"{page} marks two blocks alike"
    return dict(blocks)


def write_programs(page: Path, folder: Path) -> None:
    """Save each program of the page under its name, as a reader does."""
    for name, program in marked_blocks(page, "file").items():
        (folder / name).write_text(program)
