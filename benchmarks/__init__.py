"""Compare the cost of this project's servers with hand-written ones: `python benchmarks/run.py`."""

from __future__ import annotations

__all__: list[str] = []
