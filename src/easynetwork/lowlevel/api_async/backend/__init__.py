"""One interface to several asynchronous libraries."""

from __future__ import annotations

__all__: list[str] = []
