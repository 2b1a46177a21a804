"""The machine of a run: what it is, and how quiet it was."""

from __future__ import annotations

import os
import platform
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import EASYNETWORK_VERSION, Interpreter

__all__ = ["Quietness", "describe"]


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


class Quietness:
    """Watch the machine from now on, and report how much of it other processes used."""

    __slots__ = ("_before", "_load")

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._before = _cpu_times()

    def report(self) -> dict[str, Any]:
        """Return the load averages of one minute, and the shares of the machine's CPU that others and the host took.

        The load average at the end includes the benchmark itself; the shares do not.
        """
        whole, busy, stolen, own = (now - then for now, then in zip(_cpu_times(), self._before, strict=True))
        return {
            "load_average": [self._load, os.getloadavg()[0]],
            "others": max(busy - own, 0.0) / whole if whole else 0.0,
            "stolen": stolen / whole if whole else 0.0,
        }


def _cpu_times() -> tuple[float, float, float, float]:
    """Return the CPU seconds since the boot: all, busy, taken by the host; and those of this process and its children.

    Read the first line of /proc/stat, see proc_stat(5). Children count when they have ended.
    """
    fields = Path("/proc/stat").read_text().split(None, 9)[1:9]
    ticks = os.sysconf("SC_CLK_TCK")
    user, nice, system, idle, iowait, irq, softirq, stolen = (int(field) / ticks for field in fields)
    busy = user + nice + system + irq + softirq
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own = sum(used.ru_utime + used.ru_stime for used in usage)
    return busy + idle + iowait + stolen, busy, stolen, own


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
