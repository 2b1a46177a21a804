"""The table of programs, their loops and their known differences."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LOOPS", "Program", "load", "program"]

LOOPS = ("asyncio", "uvloop", "trio")

_programs: dict[str, Program] = {}


@dataclass(frozen=True)
class Program:
    """A function that writes a transcript. Its name consists of the module's name and the function's name."""

    name: str
    function: Callable[..., Any]
    loops: tuple[str, ...]  # empty: synchronous
    # Patterns of labels (as in a shell, perhaps after "trio/" or such) -> text in docs/coming-from/easynetwork.md that
    # explains why the lines with that label differ.
    explained: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return self.name.partition("/")[0]

    @property
    def purpose(self) -> str:
        return (self.function.__doc__ or "").strip().partition("\n")[0].rstrip(".")


def program(
    *loops: str, explained: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function to the table. With *loops*, it is a coroutine function and runs on each of them."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        subject = function.__module__.rpartition(".")[2]
        name = f"{subject}/{function.__name__.replace('_', '-')}"
        if name in _programs:
            raise ValueError(f"there are two programs with the name {name}")
        _programs[name] = Program(name, function, loops, dict(explained or {}))
        return function

    return enter


def load(subjects: Collection[str] = ()) -> dict[str, Program]:
    """Import the programs of *subjects* (default: all) and return them by name. They import the package in turn."""
    package = importlib.import_module("benchmarks.differential.programs")
    for module in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        if not subjects or module in subjects:
            importlib.import_module(f"{package.__name__}.{module}")
    return {name: program for name, program in _programs.items() if not subjects or program.subject in subjects}
