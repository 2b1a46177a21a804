"""Run a program in its own process, and observe its CPU time, memory and descriptors from outside."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from benchmarks.peers import ROOT, Interpreter

__all__ = ["ProgramError", "ProgramProcess"]

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 5.0


class ProgramError(Exception):
    """The program did not start, died, or answered wrongly."""


class ProgramProcess:
    """A process with a program. The constructor starts it and waits until it is ready; the context manager stops it."""

    __slots__ = ("_cpu_clock", "_errors", "_process", "_stdout", "address", "transport")

    address: str  # the first line it printed: the port or the path where a server listens

    def __init__(
        self, module: str, options: Sequence[str], interpreter: Interpreter, *, transport: str, core: int | None = None
    ) -> None:
        command = [interpreter.python, "-m", module, *options]
        self.transport = transport
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            env=interpreter.environment,
        )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        # clock_getcpuclockid(3) in Python: the CPU time of all threads of that process, in nanoseconds.
        self._cpu_clock = (~self._process.pid << 3) | 2
        try:
            if core is not None:
                os.sched_setaffinity(self._process.pid, {core})
            self.address = self.hear(_START_TIMEOUT)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return the user and system time of all threads of the process so far."""
        return time.clock_gettime(self._cpu_clock)

    def user_seconds(self) -> float:
        """Return the kernel's estimate of the user part of `cpu_seconds`.

        Ask the program for getrusage(2), because /proc rounds to 10 ms.
        """
        return float(self.ask("user"))

    def resident_bytes(self, *, collect: bool = True) -> int:
        """Return the resident memory, after a garbage collection. Use smaps_rollup, because statm is not exact.

        *collect* is false for a program that may be too busy to answer.
        """
        if collect:
            self.ask("gc")
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Rss:"):
                    return int(line.split()[1]) * 1024
        raise ProgramError("smaps_rollup has no Rss line")

    def open_descriptors(self) -> int:
        """Return the number of open descriptors, except /dev/null: libuv opens it as a reserve at the first accept."""
        folder = f"/proc/{self.pid}/fd"
        count = 0
        for name in os.listdir(folder):
            with suppress(FileNotFoundError):  # closed meanwhile
                count += os.readlink(f"{folder}/{name}") != os.devnull
        return count

    def ask(self, command: str, timeout: float = _STOP_TIMEOUT) -> str:
        """Send *command*, one or several words, and return the answer."""
        self.tell(command)
        return self.hear(timeout)

    def tell(self, command: str) -> None:
        """Send a command. Call `hear` for the answer when `answers` is readable."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())

    def hear(self, timeout: float = _STOP_TIMEOUT) -> str:
        """Return the next line that the program prints."""
        if not select.select([self._stdout], [], [], timeout)[0]:
            raise ProgramError(f"the program printed nothing for {timeout:g} s; its last error: {self.error_output()}")
        line = self._stdout.readline().decode().strip()
        if not line:
            self._process.wait(_STOP_TIMEOUT)
            raise ProgramError(f"the program ended: {self.error_output()}")
        return line

    @property
    def answers(self) -> int:
        """The descriptor on which answers arrive."""
        return self._stdout.fileno()

    def stop(self) -> None:
        """Ask the program to stop, then kill it. Raise nothing, whatever the program does."""
        try:
            self.tell("stop")
            self._process.wait(_STOP_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def error_output(self) -> str:
        """Return the last line on the program's standard error, without the frame of an exception group."""
        self._errors.seek(0)
        lines = [line.strip(" |+-") for line in self._errors.read().decode(errors="replace").splitlines()]
        return next(filter(None, reversed(lines)), "no message")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
