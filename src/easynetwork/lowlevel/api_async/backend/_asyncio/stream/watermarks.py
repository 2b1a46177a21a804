"""Limits on the bytes in a buffer, in either direction, before backpressure applies."""

from __future__ import annotations

__all__ = ["HIGH_WATER", "LOW_WATER"]

from typing import Final

HIGH_WATER: Final = 64 * 1024
"""Number of buffered bytes above which the sender has to wait."""

LOW_WATER: Final = 16 * 1024
"""Number of buffered bytes at which the sender may continue.

Always set explicitly: uvloop's default is 16 *bytes*, which pauses and resumes at each write.
"""
