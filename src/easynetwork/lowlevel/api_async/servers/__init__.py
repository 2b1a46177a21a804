"""Low-level servers on asynchronous listeners."""

from __future__ import annotations

__all__: list[str] = []
