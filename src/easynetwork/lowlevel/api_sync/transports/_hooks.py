"""The private hooks of blocking transports. See :mod:`easynetwork.lowlevel._hooks` for how they are found."""

from __future__ import annotations

__all__ = ["chunk_receiver", "close_abruptly"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from easynetwork.lowlevel._hooks import find_hook

if TYPE_CHECKING:
    from .abc import BaseTransport, StreamReadTransport


def chunk_receiver(transport: StreamReadTransport) -> Callable[[int, float], bytes] | None:
    """Return what does the same as `recv`, if that is never slower than receiving into a buffer.

    The default is None: `recv` is for a protocol object that wants ``bytes``, and `recv_into` for one that wants its
    buffer to be filled.
    """
    hook = find_hook(transport, "_hook_chunk_receiver")
    if hook is None:
        return None
    receiver: Callable[[int, float], bytes] | None = hook(transport)
    return receiver


def close_abruptly(transport: BaseTransport) -> None:
    """Close *transport* without waiting for anything, as finalizers have to. The default calls `close`."""
    hook = find_hook(transport, "_hook_close_abruptly")
    if hook is None:
        transport.close()
    else:
        hook(transport)
