"""The page about the command line lists the options that there are."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.docs.pages import DOCS


def test_the_page_lists_every_option() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "easynetwork", "demo", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"^  (--[\w-]+)", text, re.MULTILINE))
    listed = re.findall(r"^\| `(--[\w-]+)", (DOCS / "reference" / "command-line.md").read_text(), re.MULTILINE)
    assert set(listed) == options
