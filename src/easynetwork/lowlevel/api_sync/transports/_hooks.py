"""Private hooks of the blocking transports. :mod:`easynetwork.lowlevel._hooks` explains how hooks work."""

from __future__ import annotations

__all__ = ["chunk_receiver", "close_abruptly", "sender"]

from collections.abc import Callable
from typing import TYPE_CHECKING

from easynetwork.lowlevel._hooks import find_hook

if TYPE_CHECKING:
    from .abc import BaseTransport, StreamReadTransport, StreamWriteTransport


def chunk_receiver(transport: StreamReadTransport) -> Callable[[int, float], bytes] | None:
    """Return a replacement for `recv` that is never slower than receiving into a buffer.

    The default is None: a protocol object that takes ``bytes`` uses `recv`, and one with a buffer uses `recv_into`.
    """
    hook = find_hook(transport, "_hook_chunk_receiver")
    if hook is None:
        return None
    receiver: Callable[[int, float], bytes] | None = hook(transport)
    return receiver


def sender(transport: StreamWriteTransport) -> Callable[[bytes, float], object]:
    """Return a function that sends bytes within a number of seconds.

    The default passes them to `send_all_from_iterable` as the only piece.
    """
    hook = find_hook(transport, "_hook_sender")
    if hook is None:
        return lambda data, timeout: transport.send_all_from_iterable((data,), timeout)
    send: Callable[[bytes, float], object] = hook(transport)
    return send


def close_abruptly(transport: BaseTransport) -> None:
    """Close *transport* without waiting, as finalizers must. The default calls `close`."""
    hook = find_hook(transport, "_hook_close_abruptly")
    if hook is None:
        transport.close()
    else:
        hook(transport)
