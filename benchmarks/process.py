"""A server in a process of its own: started, watched from outside (CPU, memory, descriptors), stopped."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

from benchmarks.catalogue import Server
from benchmarks.peers import ROOT, Interpreter

__all__ = ["ServerError", "ServerProcess"]

_START_TIMEOUT = 20.0
_STOP_TIMEOUT = 5.0


class ServerError(Exception):
    """The server did not start, died, or answered wrongly."""


class ServerProcess:
    """Starts on construction and waits until it listens; a context manager that stops it."""

    __slots__ = ("_cpu_clock", "_errors", "_process", "_stdout", "port")

    port: int

    def __init__(self, server: Server, loop: str, interpreter: Interpreter, *, core: int | None = None) -> None:
        command = [interpreter.python, "-m", f"benchmarks.servers.{server.module}", "--loop", loop, *server.options]
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
            self.port = int(self._read_line(_START_TIMEOUT))
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu_seconds(self) -> float:
        """User and system time that the process has taken so far, all its threads together."""
        return time.clock_gettime(self._cpu_clock)

    def resident_bytes(self) -> int:
        """Resident memory after a garbage collection, by smaps_rollup, which is exact where statm is not."""
        self.collect_garbage()
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Rss:"):
                    return int(line.split()[1]) * 1024
        raise ServerError("smaps_rollup has no Rss line")

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def collect_garbage(self) -> None:
        self._command("gc")
        if self._read_line(_STOP_TIMEOUT) != "done":
            raise ServerError("the server does not know the command `gc`")

    def stop(self) -> None:
        """Ask it to stop, then kill it; never raises because of what the server does."""
        try:
            self._command("stop")
            self._process.wait(_STOP_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def error_output(self) -> str:
        """The last line that the server wrote to its standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())

    def _read_line(self, timeout: float) -> str:
        if not select.select([self._stdout], [], [], timeout)[0]:
            raise ServerError(f"the server said nothing for {timeout:g} s; its last words: {self.error_output()}")
        line = self._stdout.readline().decode().strip()
        if not line:
            self._process.wait(_STOP_TIMEOUT)
            raise ServerError(f"the server ended: {self.error_output()}")
        return line
