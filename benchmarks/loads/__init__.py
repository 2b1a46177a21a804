"""The loads: each keeps a program busy from outside, and counts its messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from benchmarks.catalogue import Workload
from benchmarks.loads.client import ClientLoad
from benchmarks.loads.connections import ConnectionLoad
from benchmarks.loads.echo import EchoLoad
from benchmarks.loads.window import Window
from benchmarks.process import ProgramProcess

__all__ = ["LOADS", "Load"]


class Load(Protocol):
    def run(self, seconds: float) -> Window:
        """Keep the program busy for at least *seconds*."""


LOADS: dict[str, Callable[[ProgramProcess, Workload], AbstractContextManager[Load]]] = {
    "echo": EchoLoad,
    "connections": ConnectionLoad,
    "client": ClientLoad,
}
