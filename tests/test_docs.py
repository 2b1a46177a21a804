"""The programs in README.md and docs/ do what the text says, and its links lead somewhere.

A comment above a fenced block says what the block is:
``file: NAME`` a program, ``run: NAME [while NAME serves]`` what a program prints, ``command: NAME`` a shell command.
"""

from __future__ import annotations

import fcntl
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SECONDS_TO_END = 30.0

_MARKED_BLOCK = re.compile(r"^<!-- (file|run|command): ([^\n]+?) -->\n+```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"(\S+)(?: while (\S+) serves)?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Run(NamedTuple):
    """A promise of a document: *program* prints *output* (while *server* serves)."""

    document: Path
    program: str
    server: str | None
    output: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.program}"


def marked_blocks(document: Path, mark: str) -> dict[str, str]:
    return {name: text for kind, name, _, text in _MARKED_BLOCK.findall(document.read_text()) if kind == mark}


def runs_of(document: Path) -> Iterator[Run]:
    for call, output in marked_blocks(document, "run").items():
        match = _RUN.fullmatch(call)
        assert match is not None, f"{document}: cannot understand {call!r}"
        yield Run(document, match[1], match[2], output)


RUNS = [run for document in DOCUMENTS for run in runs_of(document)]


@contextmanager
def port_for_ourselves() -> Iterator[None]:
    """The programs use a fixed port, as users will: two test runs on one machine take turns."""
    with open(Path(tempfile.gettempdir()) / "easynetwork-docs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def serving(program: str, folder: Path) -> Iterator[None]:
    """Run *program* until the end of the context, then stop it as Ctrl-C does."""
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", program], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        with process:
            try:
                deadline = time.monotonic() + SECONDS_TO_END
                while "127.0.0.1" not in log.read_text():  # it logs its address when it serves
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, f"{program} does not say that it serves: {log.read_text()}"
                    time.sleep(0.02)
                yield
                process.send_signal(signal.SIGINT)
                assert process.wait(SECONDS_TO_END) == 0, log.read_text()
            finally:
                process.kill()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_programs_print_what_the_text_says(run: Run, tmp_path: Path) -> None:
    for name, program in marked_blocks(run.document, "file").items():
        (tmp_path / name).write_text(program)

    def output() -> str:
        command = [sys.executable, run.program]
        result = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False
        )
        assert result.stderr == ""
        return result.stdout

    if run.server is None:
        assert output() == run.output
        return
    with port_for_ourselves(), serving(run.server, tmp_path):
        assert output() == run.output


RUN_ELSEWHERE = {"serializers.md"}  # by tests/docs/test_serializers_page.py: pieces of programs, not programs


@pytest.mark.parametrize(
    "document",
    [document for document in DOCUMENTS if document.name not in RUN_ELSEWHERE],
    ids=lambda document: document.name,
)
def test_every_program_in_the_text_is_run(document: Path) -> None:
    programs = marked_blocks(document, "file")
    assert document.read_text().count("```python") == len(programs)
    used = {name for run in runs_of(document) for name in (run.program, run.server) if name is not None}
    imported = {name for text in programs.values() for name in programs if f"from {Path(name).stem} import" in text}
    assert used | imported == set(programs)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name} links to {link}"
        assert not anchor or anchor in anchors_of(target), f"{document.name} links to {link}"


def anchors_of(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_programs_of_the_readme_are_short() -> None:
    programs = marked_blocks(ROOT / "README.md", "file")
    assert set(programs) == {"server.py", "client.py"}
    assert all(len(program.splitlines()) <= 20 for program in programs.values())


def test_the_readme_has_one_command_to_see_it_and_one_to_test_it() -> None:
    commands = marked_blocks(ROOT / "README.md", "command")
    assert set(commands) == {"demo", "test"}
    assert all(len(command.splitlines()) == 1 for command in commands.values())


def test_the_readme_tells_the_test_command_that_is_run_for_every_change(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_bytes((ROOT / ".ci" / "run").read_bytes())
    (tmp_path / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    # With a python3 that only fails, the script ends at the first command and has told which it was.
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    command = marked_blocks(ROOT / "README.md", "command")["test"]
    assert result.stdout == f"+ {command}"
    assert result.returncode == 1
