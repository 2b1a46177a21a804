"""Programs of the documentation, run as their readers run them: as processes of their own."""

from __future__ import annotations

__all__ = ["SECONDS_TO_END", "output_of", "serving", "started"]

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_END = 30.0

_SERVING = re.compile(r"^(?:INFO:[\w.]+:)?Start serving at (.*)$", re.MULTILINE)


def output_of(command: Sequence[str], folder: Path) -> str:
    """Run a program to its end, which has to be a good one. Return what it prints."""
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False
    )
    assert result.stderr == ""
    assert result.returncode == 0
    return result.stdout


@contextmanager
def started(
    command: Sequence[str], folder: Path, *, ignoring_sigint: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server at most for the length of a context. Give the process, and the address that it logs.

    With *ignoring_sigint*, it ignores SIGINT when it starts, as what a shell script runs with ``&``.
    """
    log = folder / "server.log"
    launcher = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh"] if ignoring_sigint else []
    with log.open("w") as output:
        process = subprocess.Popen(
            [*launcher, sys.executable, "-u", *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        with process:
            try:
                deadline = time.monotonic() + SECONDS_TO_END
                while (found := _SERVING.search(log.read_text())) is None:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, f"{command} does not say that it serves: {log.read_text()}"
                    time.sleep(0.02)
                yield process, found[1]
            finally:
                process.kill()


@contextmanager
def serving(command: Sequence[str], folder: Path) -> Iterator[str]:
    """Run a server for the length of a context, then end it as Ctrl-C does. Give the address that it logs."""
    log = folder / "server.log"
    with started(command, folder) as (process, address):
        yield address
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS_TO_END) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
