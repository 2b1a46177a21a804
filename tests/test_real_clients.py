"""The count of programs that were run against real clients, which a test run prints at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import real_clients
from tests.support.real_clients import RealClients

OUTCOMES = {
    "dns": "real passed, plain skipped",
    "redis": "real passed, real passed, plain failed",
    "smtp": "real passed, real skipped",
    "socks": "real skipped",
    "syslog": "real passed, real failed",
    "time": "plain passed",
}
BODIES = {"passed": "pass", "skipped": "pytest.skip('swaks is not installed')", "failed": "assert False"}


def module(outcomes: str) -> str:
    lines = ["import pytest"]
    for number, outcome in enumerate(outcomes.split(", ")):
        kind, result = outcome.split()
        lines += ["@pytest.mark.real_client"] if kind == "real" else []
        lines += [f"def test_{number}(): {BODIES[result]}"]
    return "\n".join(lines)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_program_counts_if_a_real_client_has_used_it_and_none_was_missing(workers: list[str], tmp_path: Path) -> None:
    for name, outcomes in OUTCOMES.items():
        (tmp_path / f"test_{name}.py").write_text(module(outcomes))
    (tmp_path / "conftest.py").write_text(
        f"import pathlib, sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from tests.support import real_clients\n"
        "real_clients.PROGRAMS = pathlib.Path(__file__).parent\n"
        "def pytest_configure(config): config.pluginmanager.register(real_clients.RealClients())\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = real_client\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:anyio", "-p", "no:trio", *workers]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    line = (
        "programs: 2 of 6 were run against real clients; not smtp (swaks is not installed), "
        "socks (swaks is not installed), syslog (failed), time (not tested)"
    )
    assert f"\n{line}\n" in result.stdout
    assert (tmp_path / ".pytest_cache" / "v" / RealClients.CACHE_KEY).read_text() == f'"{line}"'


def test_the_script_for_every_change_prints_the_count() -> None:
    script = (Path(__file__).parents[1] / ".ci" / "run").read_text()
    assert f".pytest_cache/v/{RealClients.CACHE_KEY} " in script


def test_the_programs_are_where_they_are_counted() -> None:
    assert (real_clients.PROGRAMS / "test_redis_server.py").exists()
