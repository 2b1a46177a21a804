"""Run programs in two interpreters and compare their transcripts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from fnmatch import fnmatch

from benchmarks.differential.table import Program
from benchmarks.peers import ROOT, Interpreter

__all__ = ["Comparison", "Difference", "Verdict", "compare", "compare_all", "transcripts"]

_DEADLINE = 90.0  # seconds for a program on all of its loops

Transcripts = Mapping[tuple[str, str], Sequence[str]]  # (program, loop) -> lines


class Verdict(Enum):
    """How the two runs of a program compare."""

    SAME = "same"
    EXPLAINED = "explained"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Difference:
    """A line that only one of the two libraries wrote."""

    sign: str  # "-": the release, "+": ours
    line: str
    reason: str | None  # the text in docs/coming-from/easynetwork.md, if the difference is known


@dataclass(frozen=True)
class Comparison:
    """The comparison of one program on one loop (the empty string: synchronous)."""

    program: Program
    loop: str
    differences: tuple[Difference, ...]
    transcript: tuple[str, ...] = ()  # ours

    @property
    def name(self) -> str:
        return f"{self.program.name} [{self.loop}]" if self.loop else self.program.name

    @property
    def verdict(self) -> Verdict:
        if not self.differences:
            return Verdict.SAME
        unexplained = any(difference.reason is None for difference in self.differences)
        return Verdict.DIFFERS if unexplained else Verdict.EXPLAINED


def compare_all(
    programs: Sequence[Program], released: Interpreter, ours: Interpreter, *, processes: int = 2
) -> list[Comparison]:
    """Run each program with both libraries, each time in its own process, and *processes* of them at once."""
    with ThreadPoolExecutor(max_workers=processes) as pool:
        runs = [
            pool.submit(transcripts, program, interpreter) for program in programs for interpreter in (released, ours)
        ]
        results = [run.result() for run in runs]
    comparisons = []
    for program, theirs, own in zip(programs, results[::2], results[1::2], strict=True):
        comparisons += compare(program, theirs, own)
    return comparisons


def compare(program: Program, released: Transcripts, ours: Transcripts) -> list[Comparison]:
    """Compare two runs of *program*, loop by loop."""
    return [
        Comparison(
            program,
            loop,
            tuple(
                Difference(sign, line, _reason(program, loop, line))
                for sign, line in _differing(released[program.name, loop], ours[program.name, loop])
            ),
            tuple(ours[program.name, loop]),
        )
        for loop in program.loops or ("",)
    ]


def transcripts(program: Program, interpreter: Interpreter) -> dict[tuple[str, str], list[str]]:
    """Run *program* in a process. Record a run that does not end as a line of the transcript."""
    command = [interpreter.python, "-m", "benchmarks.differential.worker", program.name]
    try:
        done = subprocess.run(
            command, env=interpreter.environment, cwd=ROOT, capture_output=True, text=True, timeout=_DEADLINE
        )
        output, end = done.stdout, f"ended with status {done.returncode}: {_last_line(done.stderr)}"
    except subprocess.TimeoutExpired as error:
        output, end = (error.stdout or b"").decode(), "did not end"
    found: dict[tuple[str, str], list[str]] = {
        (program.name, loop): [f"(the process): {end}"] for loop in program.loops or ("",)
    }
    for line in output.splitlines():
        if line.startswith('{"program"'):
            run = json.loads(line)
            found[run["program"], run["loop"]] = run["lines"]
    return found


def _differing(released: Sequence[str], ours: Sequence[str]) -> Iterable[tuple[str, str]]:
    matcher = SequenceMatcher(None, released, ours, autojunk=False)
    for kind, start, end, own_start, own_end in matcher.get_opcodes():
        if kind != "equal":
            yield from (("-", line) for line in released[start:end])
            yield from (("+", line) for line in ours[own_start:own_end])


def _reason(program: Program, loop: str, line: str) -> str | None:
    for pattern, reason in program.explained.items():
        if fnmatch(line, f"{pattern}: *") or fnmatch(f"{loop}/{line}", f"{pattern}: *"):
            return reason
    return None


def _last_line(text: str) -> str:
    return next(filter(None, reversed(text.splitlines())), "no message")
