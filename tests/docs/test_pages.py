"""The programs in README.md and docs/ do what the text says, and its links lead somewhere."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.docs.pages import PAGES, ROOT, marked_blocks, number_of_blocks, write_programs
from tests.support.programs import output_of, serving

_RUN = re.compile(r"(\S+)(?: after (\S+))?(?: while (\S+) serves)?")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Run(NamedTuple):
    """A promise of a page: *program* prints *output* (once *before* has run, while *server* serves)."""

    page: Path
    program: str
    before: str | None
    server: str | None
    output: str

    def __str__(self) -> str:
        return f"{page_id(self.page)}:{self.program}"


def runs_of(page: Path) -> Iterator[Run]:
    for call, output in marked_blocks(page, "run").items():
        match = _RUN.fullmatch(call)
        assert match is not None, f"{page}: cannot understand {call!r}"
        yield Run(page, match[1], match[2], match[3], output)


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


RUNS = [run for page in PAGES for run in runs_of(page)]


@contextmanager
def port_for_ourselves() -> Iterator[None]:
    """The programs use a fixed port, as users will: two test runs on one machine take turns."""
    with open(Path(tempfile.gettempdir()) / "easynetwork-docs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("run", RUNS, ids=str)
def test_programs_print_what_the_text_says(run: Run, tmp_path: Path) -> None:
    write_programs(run.page, tmp_path)
    with ExitStack() as stack:
        if run.before is not None:
            assert output_of([run.before], tmp_path) == ""
        if run.server is not None:
            stack.enter_context(port_for_ourselves())
            stack.enter_context(serving([run.server], tmp_path))
        assert output_of([run.program], tmp_path) == run.output


# By test_testing_page.py: tests.
RUN_ELSEWHERE = {"testing.md"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in RUN_ELSEWHERE], ids=page_id)
def test_every_program_in_the_text_is_run(page: Path) -> None:
    programs = marked_blocks(page, "file")
    shown = [number_of_blocks(page, "python", mark) for mark in ("part of", "fragment", "not run")]
    assert number_of_blocks(page, "python") == len(programs) + sum(shown)
    used = {name for run in runs_of(page) for name in (run.program, run.before, run.server) if name is not None}
    used |= {name for text in marked_blocks(page, "command").values() for name in programs if name in text}
    imported = {name for text in programs.values() for name in programs if f"from {Path(name).stem} import" in text}
    assert used | imported == set(programs)


COMMANDS = [(page, name) for page in PAGES if page.parent != ROOT for name in marked_blocks(page, "command")]


@pytest.mark.parametrize(("page", "name"), COMMANDS, ids=lambda value: getattr(value, "name", value))
def test_shell_commands_work(page: Path, name: str, tmp_path: Path) -> None:
    write_programs(page, tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", marked_blocks(page, "command")[name]]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_shell_commands_are_run_or_say_why_not(page: Path) -> None:
    marked = sum(number_of_blocks(page, "sh", mark) for mark in ("command", "not run"))
    assert number_of_blocks(page, "sh") == marked


def without_double_blank_lines(text: str) -> str:
    """Methods shown without their class are functions, and formatters want more space around these."""
    return re.sub(r"\n{3,}", "\n\n", text)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_parts_of_files_are_as_in_the_file(page: Path) -> None:
    for name, text in marked_blocks(page, "part of").items():
        file = without_double_blank_lines((page.parent / name).read_text())
        text = without_double_blank_lines(text)
        shown_at_any_depth = any(textwrap.indent(text, depth * "    ") in file for depth in range(6))
        assert shown_at_any_depth, f"{page.name} shows something else than {name}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors_of(target), f"{page.name} links to {link}"


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_programs_of_the_readme_are_short() -> None:
    programs = marked_blocks(ROOT / "README.md", "file")
    assert set(programs) == {"server.py", "client.py"}
    assert all(len([line for line in program.splitlines() if line]) <= 15 for program in programs.values())


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
    (tmp_path / ".ci" / "install-programs").write_text("#!/bin/sh\n")
    for program in ("python3", ".ci/install-programs"):
        (tmp_path / program).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    command = marked_blocks(ROOT / "README.md", "command")["test"]
    assert result.stdout == f"+ {command}"
    assert result.returncode == 1
