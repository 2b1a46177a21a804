"""Lets atheris (libFuzzer) look for inputs: ``python -m tests.fuzz.coverage_guided -runs=1000000``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["easynetwork"]):
    from tests.fuzz.targets import make_targets, run

_TARGETS = make_targets()


def one_input(data: bytes) -> None:
    """The first two bytes choose the target and the size of the pieces."""
    if len(data) > 2:
        run(_TARGETS[data[0] % len(_TARGETS)], data[2:], 1 + data[1] % 60)


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
