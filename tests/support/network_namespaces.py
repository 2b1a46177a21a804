"""Programs in their own network namespace, with the addresses that a test sets up. Needs Linux and root."""

from __future__ import annotations

__all__ = ["run_in_namespace"]

import shutil
import subprocess
import sys

import pytest

_TIMEOUT = 60


def run_in_namespace(setup: str, program: str, *args: str) -> str:
    """Return what *program*, Python source text, prints; skip the test where there are no network namespaces.

    Parameters:
        setup: commands of a shell, run before. The loopback interface is up already.
        program: the program.
        args: its arguments.
    """
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs the programs 'unshare' and 'ip'")
    commands = f"set -e; ip link set lo up\n{setup}"
    prefix = ["unshare", "--net", "--mount", "sh", "-c"]
    probe = subprocess.run([*prefix, commands], capture_output=True, text=True, timeout=_TIMEOUT)
    if probe.returncode:
        pytest.skip(f"no such network namespace here: {probe.stderr.strip()}")
    command = f'{commands}\nexec "$0" "$@"'
    process = subprocess.run(
        [*prefix, command, sys.executable, "-Werror", "-c", program, *args],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
    )
    assert not process.returncode, process.stderr
    return process.stdout
