"""Arguments that several clients have."""

from __future__ import annotations

__all__ = ["check_options", "stream_bufsize"]

from collections.abc import Collection, Set

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE


def check_options(options: Collection[str], known: Set[str]) -> None:
    """Raises `TypeError` if there are *options* which are not *known*."""
    if unknown := set(options) - known:
        raise TypeError(f"Unexpected arguments: {', '.join(sorted(unknown))}")


def stream_bufsize(protocol: object, max_recv_size: int | None) -> int:
    """Returns how many bytes to read at once: *max_recv_size*, 16 KiB if None.

    Raises:
        TypeError: *protocol* is not for streams.
        ValueError: *max_recv_size* is no strictly positive integer.
    """
    check_stream_protocol(protocol)
    if max_recv_size is None:
        return DEFAULT_STREAM_BUFSIZE
    check_strictly_positive("max_recv_size", max_recv_size)
    return max_recv_size
