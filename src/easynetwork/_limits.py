"""Limits that serializers and other modules share."""

from __future__ import annotations

__all__ = ["DEFAULT_SERIALIZER_LIMIT"]

from typing import Final

DEFAULT_SERIALIZER_LIMIT: Final[int] = 64 * 1024
"""Default limit, in bytes, on the size of an incomplete packet that a serializer buffers."""
