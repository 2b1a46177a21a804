"""The interpreters that run the programs: the caller's own, and a venv with the EasyNetwork release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

__all__ = [
    "EASYNETWORK_VERSION",
    "ROOT",
    "Interpreter",
    "InterpreterError",
    "our_interpreter",
    "peer_interpreter",
    "pure",
]

ROOT = Path(__file__).resolve().parent.parent
EASYNETWORK_VERSION = "1.2.0"

# Keep the venvs out of the project, so that a search of the project does not find the release's source.
_PEERS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "easynetwork-uvloop-benchmarks"
_PROBE = """
import json, platform
from importlib.metadata import version, PackageNotFoundError
def v(name):
    try: return version(name)
    except PackageNotFoundError: return None
import easynetwork
try: from easynetwork._acceleration import describe
except ImportError: describe = lambda: "pure Python"
print(json.dumps({
    "python": platform.python_implementation() + " " + platform.python_version(),
    **{name: v(name) for name in ("uvloop", "trio", "anyio", "twisted", "aiofastnet")},
    "easynetwork": easynetwork.__version__,
    "acceleration": describe(),
}))
"""


class InterpreterError(Exception):
    """An interpreter could not be started, or its venv could not be created."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that runs program scripts, and the versions installed in it."""

    python: str
    environment: dict[str, str]
    versions: dict[str, str | None]


def our_interpreter(python: str, source: Path = ROOT / "src") -> Interpreter:
    """Return *python* with the project's *source* first on the module path, even if another version is installed."""
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH")]))
    return _probe(python, {**os.environ, "PYTHONPATH": path})


def pure(interpreter: Interpreter) -> Interpreter:
    """Return *interpreter* without the compiled module of this project."""
    return replace(interpreter, environment={**interpreter.environment, "EASYNETWORK_PURE_PYTHON": "1"})


def peer_interpreter(ours: Interpreter, *also: str) -> Interpreter:
    """Return a venv with the released EasyNetwork and the same Python, uvloop and trio as *ours*.

    The venv is created once and then kept. *also* are more requirements to install in it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    loops = [f"{name}=={version}" for name in ("uvloop", "trio") if (version := ours.versions[name])]
    requirements = [f"easynetwork=={EASYNETWORK_VERSION}", *loops, *also]
    parts = [str(ours.versions["python"]), *requirements]
    name = "-".join(parts).replace(" ", "-").replace("==", "-").lower()
    venv = _PEERS / name
    python = venv / "bin" / "python"
    if not (venv / "complete").exists():
        shutil.rmtree(venv, ignore_errors=True)
        _run([ours.python, "-m", "venv", str(venv)], environment)
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements], environment)
        (venv / "complete").touch()
    return _probe(str(python), environment)


def _probe(python: str, environment: dict[str, str]) -> Interpreter:
    return Interpreter(python, environment, json.loads(_run([python, "-c", _PROBE], environment)))


def _run(command: list[str], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InterpreterError(f"cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        last_words = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InterpreterError(f"{' '.join(command[:4])} failed: {last_words[0]}")
    return done.stdout
