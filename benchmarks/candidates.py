"""A program that is ready to be measured, and the cores that it and its load run on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.catalogue import Group, Program
from benchmarks.certificates import certificate
from benchmarks.peers import Interpreter, pure
from benchmarks.process import ProgramProcess
from benchmarks.results import Failure

__all__ = ["Candidate", "Cores"]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A program of a group on a loop, and the interpreter that runs it."""

    group: Group
    program: Program
    loop: str
    interpreter: Interpreter

    @property
    def key(self) -> str:
        return self.group.key(self.program)

    def __str__(self) -> str:
        return f"{self.key} on {self.loop}"

    def start(self, core: int | None) -> ProgramProcess:
        options = ["--loop", self.loop, "--transport", self.group.transport, *self.program.options]
        if self.group.transport == "tls":
            options += ["--certificate", str(certificate())]
        module = f"benchmarks.{self.program.module}"
        interpreter = pure(self.interpreter) if self.program.pure else self.interpreter
        return ProgramProcess(module, options, interpreter, transport=self.group.transport, core=core)

    def failure(self, error: Exception) -> Failure:
        return Failure(self.key, self.loop, str(error) or type(error).__name__)


@dataclass(frozen=True)
class Cores:
    """The cores of the measured program and of the load; None if they cannot be separated."""

    program: int | None
    load: int | None

    @classmethod
    def choose(cls) -> Cores:
        available = sorted(os.sched_getaffinity(0))
        try:
            os.sched_setaffinity(0, available)
        except OSError:  # some sandboxes allow reading the affinity, but not setting it
            return cls(None, None)
        # Core 0 serves most interrupts, so the program gets the last core.
        return cls(available[-1], available[0]) if len(available) > 1 else cls(None, None)

    @contextmanager
    def pin_load(self) -> Iterator[None]:
        """Pin this process to the load's core for the length of the context."""
        before = os.sched_getaffinity(0)
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
