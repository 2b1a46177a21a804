"""The last line of a test run: how many programs of docs/examples it has run against real clients."""

from __future__ import annotations

__all__ = ["RealClients"]

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter  # public from pytest 8.4 on

PROGRAMS = Path(__file__).parents[1] / "programs"


class RealClients:
    """A plugin of pytest that counts the programs. Each has one module in tests/programs, ``test_<program>.py``.

    A program counts if a test with the marker ``real_client`` has passed, and none was skipped or has failed. `.ci/run`
    prints the line again as its own last line, and finds it in the cache of pytest.
    """

    CACHE_KEY = "easynetwork/real_clients"

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter, config: pytest.Config) -> None:
        passed: set[str] = set()
        missing: dict[str, str] = {}
        for outcome in ("passed", "skipped", "failed", "error"):
            for report in terminalreporter.getreports(outcome):
                if "real_client" not in getattr(report, "keywords", ()):
                    continue
                program = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_")
                if outcome == "passed":
                    passed.add(program)
                else:
                    missing.setdefault(program, reason_of(report) if outcome == "skipped" else "failed")
        if not passed | missing.keys():
            return
        programs = {path.stem.removeprefix("test_") for path in PROGRAMS.glob("test_*.py")}
        run = passed - missing.keys()
        line = f"programs: {len(run)} of {len(programs)} were run against real clients"
        if others := [f"{name} ({missing.get(name, 'not tested')})" for name in sorted(programs - run)]:
            line += f"; not {', '.join(others)}"
        terminalreporter.write_line(line)
        if (cache := getattr(config, "cache", None)) is not None:
            cache.set(self.CACHE_KEY, line)


def reason_of(report: pytest.TestReport) -> str:
    """Return why a test was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
