"""The measured servers: each answers every line with the same line, and runs in its own process."""

from __future__ import annotations

__all__: list[str] = []
