"""The measured servers: each answers every line with the same line, and runs in a process of its own."""

from __future__ import annotations

__all__: list[str] = []
