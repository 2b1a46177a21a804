"""Arguments that several clients share."""

from __future__ import annotations

__all__ = ["check_options", "stream_bufsize"]

from collections.abc import Collection, Set

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel.constants import DEFAULT_STREAM_BUFSIZE


def check_options(options: Collection[str], known: Set[str]) -> None:
    """Raise `TypeError` if *options* contains names that are not in *known*."""
    if unknown := set(options) - known:
        raise TypeError(f"Unexpected arguments: {', '.join(sorted(unknown))}")


def stream_bufsize(protocol: object, max_recv_size: int | None) -> int:
    """Return the maximum number of bytes per read: *max_recv_size*, or 16 KiB if it is None.

    Raises:
        TypeError: *protocol* is not a stream protocol object.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """
    check_stream_protocol(protocol)
    if max_recv_size is None:
        return DEFAULT_STREAM_BUFSIZE
    check_strictly_positive("max_recv_size", max_recv_size)
    return max_recv_size
