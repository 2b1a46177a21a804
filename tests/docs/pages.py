"""The pages that users and contributors read, and what is marked in them.

A comment above a fenced block says what the block is:

``file: NAME``       a program
``run: CALL``        what a program of the page prints; CALL is ``PROGRAM [after PROGRAM] [while PROGRAM serves]``
``part of: FILE``    some lines of a file
``session: NAME``    what one types into a shell, after ``$``, and what comes out
``command: NAME``    a shell command
"""

from __future__ import annotations

__all__ = ["DOCS", "PAGES", "ROOT", "marked_blocks"]

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md"))]

_MARKED_BLOCK = re.compile(
    r"^<!-- (file|run|part of|session|command): ([^\n]+?) -->\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def marked_blocks(page: Path, mark: str) -> dict[str, str]:
    """Return the text of each block with this *mark*, by what follows the mark."""
    blocks = [(name, text) for kind, name, text in _MARKED_BLOCK.findall(page.read_text()) if kind == mark]
    assert len(dict(blocks)) == len(blocks), f"{page} marks two blocks alike"
    return dict(blocks)
