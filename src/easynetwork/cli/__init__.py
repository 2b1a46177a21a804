"""The command ``easynetwork``, also ``python -m easynetwork``."""

from __future__ import annotations

__all__ = ["main"]

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import easynetwork
from easynetwork.cli.errors import CommandError

if TYPE_CHECKING:
    from easynetwork.cli.arguments import Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the arguments *argv* (``None``: those of the process) and return its exit status.

    0: success. 1: the command failed. 130: interrupted by Ctrl-C.

    Raises:
        SystemExit: with 2 for wrong arguments, after one line on stderr; with 0 for --help and --version.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # do not fail on a terminal without "µ"
    try:
        try:
            options = _parser().parse_args(argv)
            status: int = options.run(options)
        finally:
            sys.stdout.flush()  # flush here: the interpreter cannot handle an error of the flush at exit
    except CommandError as error:
        print(f"easynetwork: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        # Overwrite the "^C" that a terminal has just echoed.
        print("\r" if sys.stderr.isatty() else "", "easynetwork: interrupted", sep="", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has left (`| head`). Redirect stdout, so that the flush at exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


class _PrintVersion(argparse.Action):
    """Print the version, and whether the compiled module is used."""

    def __call__(self, parser: argparse.ArgumentParser, *arguments: Any) -> None:
        from easynetwork._acceleration import describe  # import late: it loads the compiled module

        print(f"easynetwork-uvloop {easynetwork.__version__} ({describe()})")
        parser.exit()


def _parser() -> Parser:
    from easynetwork.cli import demo
    from easynetwork.cli.arguments import Parser

    parser = Parser(prog="easynetwork", description="Tools for clients and servers that exchange Python objects.")
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo.add_command(commands)
    return parser
