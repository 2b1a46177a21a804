"""The measured clients: each obeys the load on its one connection, and runs in its own process."""

from __future__ import annotations

__all__: list[str] = []
