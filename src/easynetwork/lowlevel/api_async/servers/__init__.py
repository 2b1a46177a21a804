"""Servers on any asynchronous listener."""

from __future__ import annotations

__all__: list[str] = []
