"""The framing of a serializer that can do with any."""

from __future__ import annotations

__all__ = ["framing"]

from collections.abc import Callable

from easynetwork._limits import DEFAULT_SERIALIZER_LIMIT

from .formats import FrameFormat


def framing(frames: FrameFormat | None, limit: int | None, default: Callable[[int], FrameFormat]) -> FrameFormat:
    """Return *frames*, or *default* with *limit*.

    Raises:
        TypeError: *frames* is not a framing.
        ValueError: *limit* is not strictly positive, or is given together with *frames*.
    """
    if frames is None:
        return default(DEFAULT_SERIALIZER_LIMIT if limit is None else limit)
    if not isinstance(frames, FrameFormat):
        raise TypeError(f"Expected a framing, such as LengthPrefixedFrames, got {frames!r}")
    if limit is not None:
        raise ValueError(f"The limit of {type(frames).__name__} holds: 'limit' must not be given, got {limit!r}")
    return frames
