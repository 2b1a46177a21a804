"""Types of command-line arguments, and a parser that refuses wrong ones in one line."""

from __future__ import annotations

__all__ = ["Commands", "Parser", "event_loop", "integer", "names_of"]

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from easynetwork.cli.loops import event_loops


class Parser(argparse.ArgumentParser):
    """Refuse wrong arguments in one line on stderr, with status 2. Abbreviated options are not allowed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        one_line = " ".join(message.split())  # the message quotes arguments, which may contain newlines
        self.exit(2, f"{self.prog}: error: {one_line} (see {self.prog} --help)\n")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def integer(lowest: int, highest: int) -> Callable[[str], int]:
    """Return the type of an option whose value is a whole number from *lowest* to *highest*."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if not lowest <= number <= highest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {lowest} to {highest}")
        return number

    return parse


def names_of(choices: Sequence[str]) -> Callable[[str], list[str]]:
    """Return the type of an option whose value is one or several of *choices*, separated by commas.

    Duplicates are dropped.
    """

    def parse(text: str) -> list[str]:
        names = list(dict.fromkeys(text.split(",")))
        for name in names:
            if name not in choices:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(choices)}")
        return names

    return parse


def event_loop(text: str) -> str:
    """Return *text* if it names an available event loop: the type of an option."""
    if text not in ("asyncio", "uvloop"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither asyncio nor uvloop")
    if text not in event_loops():
        raise argparse.ArgumentTypeError(f"{text} is not installed; asyncio is always available")
    return text
