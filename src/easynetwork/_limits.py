"""Limits that serializers and the modules above them share."""

from __future__ import annotations

__all__ = ["DEFAULT_SERIALIZER_LIMIT"]

from typing import Final

DEFAULT_SERIALIZER_LIMIT: Final[int] = 64 * 1024
"""Number of bytes that a serializer buffers for an incomplete packet, unless told otherwise."""
