"""Progress on standard error: one live line on a terminal, one line for each stage elsewhere."""

from __future__ import annotations

import sys

__all__ = ["Progress"]


class Progress:
    """A progress display. Call it with the stage and the step within the stage."""

    __slots__ = ("_live", "_stage")

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._stage = ""

    def __call__(self, stage: str, step: str = "") -> None:
        if self._live:
            print(f"\r\x1b[K{stage}{': ' if step else ''}{step}", end="", file=sys.stderr, flush=True)
        elif stage != self._stage:
            print(stage, file=sys.stderr, flush=True)
        self._stage = stage

    def end(self, stage: str) -> None:
        """Show the last stage and end the live line."""
        self(stage)
        if self._live:
            print(file=sys.stderr)
