"""Packet endpoints over asynchronous transports."""

from __future__ import annotations

__all__: list[str] = []
