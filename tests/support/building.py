"""Build what goes to a package index, and look into it."""

from __future__ import annotations

__all__ = ["files_below", "run", "unpack"]

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Return what *command* prints. The variables of *environment* are added to those of this process."""
    result = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution in *folder*, and return the folder that it contains."""
    run("tar", "-xzf", archive, cwd=folder)
    return folder / archive.name.removesuffix(".tar.gz")


def files_below(folder: Path) -> Iterator[str]:
    """Yield the relative paths of all files, without bytecode."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(folder))
