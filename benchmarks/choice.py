"""Command-line options that choose what to measure."""

from __future__ import annotations

import argparse
import select
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from benchmarks.catalogue import GROUPS, LOOPS, PROGRAMS, Group, Program
from benchmarks.rounds import Timing

__all__ = ["WHAT_THERE_IS", "add_choices", "check_choices", "chosen_programs", "chosen_workloads"]

_WORKLOADS = list(dict.fromkeys(workload.name for group in GROUPS.values() for workload in group.workloads))
_GROUPS = "".join(f"\n  {group.name:<8} {', '.join(p.name for p in group.programs)}" for group in GROUPS.values())
WHAT_THERE_IS = f"groups and their programs:{_GROUPS}\n\nworkloads: {', '.join(_WORKLOADS)}"


def add_choices(parser: argparse._ActionsContainer, default: Timing) -> None:
    """Add the options that choose programs, workloads, loops, rounds and interpreters."""
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="groups, or shell patterns for programs such as 'tls/ours*' or '*bare', separated by spaces or commas. "
        "The name of a group selects its default programs; the first program of a group always runs",
    )
    parser.add_argument("--workloads", nargs="+", metavar="PATTERN", help="shell patterns for workloads")
    parser.add_argument("--loops", type=_loops, metavar="A,B", help=f"event loops, out of {','.join(LOOPS)}")
    parser.add_argument("--rounds", type=_count, metavar="N", help=f"number of rounds (default {default.rounds})")
    parser.add_argument(
        "--window", type=_seconds, metavar="SECONDS", help=f"length of a window (default {default.window})"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed for the order of the programs in each round")
    parser.add_argument(
        "--python",
        dest="pythons",
        action="append",
        metavar="PATH",
        help="interpreter of the programs (default: this one). Repeat it to measure with several, one after the other",
    )


def check_choices(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Split the names and fill in the interpreter. Exit with an error if a pattern matches nothing."""
    if not hasattr(select, "epoll"):
        parser.error("the load needs epoll, which only Linux has")
    options.pythons = options.pythons or [sys.executable]
    if options.only is not None:
        options.only = [name for word in options.only for name in word.split(",") if name]
    for chosen, names in ((options.only, [*GROUPS, *PROGRAMS]), (options.workloads, _WORKLOADS)):
        for pattern in chosen or ():
            if not any(fnmatch(name, pattern) for name in names):
                parser.error(f"{pattern!r} does not match any of {', '.join(names)}")


def chosen_workloads(options: argparse.Namespace) -> list[str]:
    return [name for name in _WORKLOADS if _matches(name, options.workloads or ["*"])]


def chosen_programs(options: argparse.Namespace, *, first_loop: bool = False) -> list[tuple[Group, Program, str]]:
    """Return the programs to run, with their loops. The first program of a group is always among them.

    Parameters:
        options: the parsed options.
        first_loop: run each group only on its first loop, unless the options name loops.
    """
    return [
        (group, program, loop)
        for group in GROUPS.values()
        for loop in _loops_of(group, options, first_loop)
        for program in _programs_of(group, options.only)
    ]


def _loops_of(group: Group, options: argparse.Namespace, first_loop: bool) -> list[str]:
    if options.loops is None:
        return list(group.loops[:1] if first_loop else group.loops)
    # A program that runs on uvloop also runs on asyncio's own loop, and vice versa.
    able = {"uvloop", "asyncio"} if "uvloop" in group.loops else set(group.loops)
    return [loop for loop in options.loops if loop in able]


def _programs_of(group: Group, names: Sequence[str] | None) -> list[Program]:
    if names is None or _matches(group.name, names):
        usual = {program.name for program in group.programs if program.default}
    else:
        usual = set()
    chosen = [p for p in group.programs if p.name in usual or _matches(group.key(p), names or ())]
    # Every ratio needs the baseline.
    return list(dict.fromkeys([group.programs[0], *chosen])) if chosen else []


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _loops(text: str) -> list[str]:
    loops = text.split(",")
    if not set(loops) <= set(LOOPS):
        raise argparse.ArgumentTypeError(f"{text!r} contains an unknown event loop: choose from {', '.join(LOOPS)}")
    return loops


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        if 0 < float(text) <= 60:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, at most 60")
