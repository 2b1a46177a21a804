"""Find differences in behaviour from EasyNetwork 1.2.0: `python benchmarks/compare_behaviour.py --help`.

Run a table of small programs with both libraries, each in its own process, and compare what they print. A difference
is either explained in docs/coming-from/easynetwork.md, or a bug. The exit status is 1 if a difference is not explained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the packages are one level up.
    sys.path[:1] = [str(Path(__file__).resolve().parent.parent), str(Path(__file__).resolve().parent.parent / "src")]

from benchmarks.differential.comparison import Verdict, compare_all
from benchmarks.differential.report import report
from benchmarks.differential.table import load
from benchmarks.peers import InterpreterError, our_interpreter, peer_interpreter

# The programs' other imports. The release does not work with the cbor2 version of this project.
_ALSO = ("cbor2==5.9.0", *(f"{name}=={version(name)}" for name in ("msgpack", "outcome", "trustme")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    programs = [p for p in load().values() if not options.only or any(fnmatch(p.name, only) for only in options.only)]
    if not programs:
        print(f"no program is called {' or '.join(options.only)}", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{program.name:<46} {program.purpose}" for program in programs))
        return 0
    try:
        ours = our_interpreter(options.python)
        released = peer_interpreter(ours, *_ALSO)
    except InterpreterError as error:
        print(error, file=sys.stderr)
        return 2
    comparisons = compare_all(programs, released, ours, processes=options.processes)
    print(report(comparisons, explained=options.explained, transcripts=options.transcripts))
    return 1 if any(comparison.verdict is Verdict.DIFFERS for comparison in comparisons) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="PATTERN", help="shell patterns for programs: 'serializers/*'")
    parser.add_argument("--list", action="store_true", help="list the programs without running them")
    parser.add_argument("--explained", action="store_true", help="also show the lines of explained differences")
    parser.add_argument("--transcripts", action="store_true", help="show everything that this library did")
    parser.add_argument(
        "--processes", type=int, default=2, metavar="N", help="number of concurrent processes (default 2)"
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter to compare with (default: this one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
