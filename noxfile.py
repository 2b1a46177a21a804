"""Run the suite on every supported Python that is installed here, and in the modes that find other mistakes.

    pipx run nox                      # or: .venv/bin/pip install nox; .venv/bin/nox
    nox -s tests-3.13 -- tests/servers -x
    nox -s debug
    nox -s coverage                   # which lines and branches of the library the suite runs

The summary at the end lists an interpreter that is missing as skipped.
"""

from __future__ import annotations

import glob
import os

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "pure", "eager", "debug", "optimised"]
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]

# pyenv keeps its interpreters off PATH, behind shims that fail for those not chosen.
os.environ["PATH"] = os.pathsep.join(
    [*glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin")), os.environ.get("PATH", os.defpath)]
)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the suite."""
    run_suite(session)


@nox.session(python=PYTHONS)
def pure(session: nox.Session) -> None:
    """Run the suite without the compiled module."""
    session.env["EASYNETWORK_PURE_PYTHON"] = "1"
    run_suite(session)


@nox.session(python=PYTHONS[1:])
def eager(session: nox.Session) -> None:
    """Run the suite with event loops that begin each task at once (``asyncio.eager_task_factory``, Python 3.12)."""
    run_suite(session, "--eager-tasks")


@nox.session(python=PYTHONS)
def debug(session: nox.Session) -> None:
    """Run the suite in the development mode of Python and the debug mode of asyncio."""
    session.env["PYTHONASYNCIODEBUG"] = "1"
    session.env["PYTHONDEVMODE"] = "1"
    run_suite(session)


@nox.session(python=PYTHONS)
def optimised(session: nox.Session) -> None:
    """Run the suite without the assertions of the library; pytest keeps those of the tests."""
    session.env["PYTHONOPTIMIZE"] = "1"
    run_suite(session, "-W", "ignore:assertions not in test modules or plugins will be ignored")


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches of the library the suite runs. Slower than the suite alone."""
    session.install("-q", "-e", ".[test]", *nox.project.dependency_groups(PROJECT, "coverage"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "auto", "-q", *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


def run_suite(session: nox.Session, *options: str) -> None:
    session.install("-q", "-e", ".[test]")
    session.run("pytest", "-n", "auto", "-q", *options, *session.posargs)
