"""Endpoints that send and receive packets over blocking transports."""

from __future__ import annotations

__all__: list[str] = []
