"""The machine, versions and date of a run."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import EASYNETWORK_VERSION, Interpreter

__all__ = ["describe"]


def describe(ours: Interpreter) -> dict[str, Any]:
    """Return the machine, versions and date for the JSON file."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "released": EASYNETWORK_VERSION,
        **ours.versions,
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
