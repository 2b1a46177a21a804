"""The measured clients: each does what the load tells it on its one connection, and runs in a process of its own."""

from __future__ import annotations

__all__: list[str] = []
