"""What the servers of this project cost beside hand-written ones: `python benchmarks/run.py`."""

from __future__ import annotations

__all__: list[str] = []
