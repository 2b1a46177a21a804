"""How many bytes may wait, received or to be sent, before the other side has to."""

from __future__ import annotations

__all__ = ["HIGH_WATER", "LOW_WATER"]

from typing import Final

HIGH_WATER: Final = 64 * 1024
"""With more bytes than this, the other side has to wait."""

LOW_WATER: Final = 16 * 1024
"""Few enough bytes to go on. Set by hand: uvloop's default is 16 *bytes*, which pauses and resumes at each write."""
