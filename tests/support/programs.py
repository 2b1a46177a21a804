"""Programs as processes of their own: those of the documentation, and real clients and servers to try them with."""

from __future__ import annotations

__all__ = [
    "EXAMPLES",
    "SECONDS_TO_END",
    "Example",
    "Program",
    "example",
    "needs_program",
    "output_of",
    "running",
    "serving",
    "started",
]

import ast
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS_TO_END = 30.0

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

_SERVING = re.compile(r"^(?:INFO:[\w.]+:)?Start serving at (.*)$", re.MULTILINE)


def needs_program(name: str) -> str:
    """Return the path of the program *name*. Skip the test that calls this if the program is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def output_of(command: Sequence[str], folder: Path) -> str:
    """Run a Python program to its end, which has to be a good one. Return what it prints."""
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False
    )
    assert result.stderr == ""
    assert result.returncode == 0
    return result.stdout


class Program:
    """A program that runs. Its output, of both kinds, goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str | re.Pattern[str], count: int = 1) -> list[re.Match[str]]:
        """Wait until it has printed *count* matches of a regular expression. Return them."""
        deadline = time.monotonic() + SECONDS_TO_END
        while len(found := list(re.finditer(pattern, self.output))) < count:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"{self.process.args!r} does not print {pattern!r}: {self.output}"
            time.sleep(0.02)
        return found

    def interrupt(self) -> None:
        """End it as Ctrl-C does, which has to be a good end."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(SECONDS_TO_END) == 0, self.output
        assert "Traceback" not in self.output


@contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[Program]:
    """Run any program in *folder* at most for the length of a context."""
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    with process:
        try:
            yield Program(process, log)
        finally:
            process.kill()


@contextmanager
def started(
    command: Sequence[str], folder: Path, *, ignoring_sigint: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server in Python at most for the length of a context. Give the process, and the address that it logs.

    With *ignoring_sigint*, it ignores SIGINT when it starts, as what a shell script runs with ``&``.
    """
    launcher = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh"] if ignoring_sigint else []
    with running([*launcher, sys.executable, "-u", *command], folder) as program:
        yield program.process, program.wait_for(_SERVING)[0][1]


@contextmanager
def serving(command: Sequence[str], folder: Path) -> Iterator[str]:
    """Run a server in Python for the length of a context, then end it as Ctrl-C does. Give the address that it logs."""
    with running([sys.executable, "-u", *command], folder) as program:
        yield program.wait_for(_SERVING)[0][1]
        program.interrupt()


class Example(Program):
    """A server of docs/examples that runs, and where it listens."""

    addresses: list[tuple[str, int]]

    @property
    def address(self) -> tuple[str, int]:
        return self.addresses[0]

    @property
    def port(self) -> int:
        return self.address[1]


@contextmanager
def example(name: str, *options: str, listeners: int = 1) -> Iterator[Example]:
    """Run a server of docs/examples on a free port for the length of a context, then end it as Ctrl-C does.

    Parameters:
        name: the name of the file.
        options: of the command line. ``--port 0`` comes before them.
        listeners: how many addresses it logs. They are in the order in which it logs them.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", str(EXAMPLES / name), "--port", "0", *options]
        with running(command, Path(folder)) as program:
            server = Example(program.process, program.log)
            server.addresses = [ast.literal_eval(found[1])[:2] for found in server.wait_for(_SERVING, listeners)]
            yield server
            server.interrupt()
