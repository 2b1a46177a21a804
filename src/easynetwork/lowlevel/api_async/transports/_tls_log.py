"""What a listener logs about TLS handshakes that have failed."""

from __future__ import annotations

__all__ = ["keep_peer_name", "log_handshake_error"]

import errno
import logging
from collections.abc import Callable
from socket import AF_INET, AF_INET6

from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel._sockets.unix_address import UnixSocketAddress
from easynetwork.lowlevel.socket import new_socket_address

from ._hooks import keep_names
from .abc import AsyncStreamTransport


def keep_peer_name(transport: AsyncStreamTransport) -> Callable[[], str]:
    """Return what tells how log records call the peer of *transport*, even once the transport is closed."""
    try:
        names = keep_names(transport)
    except Exception:  # the peer has gone already, or a transport of the user has no names
        return lambda: "an unknown peer"
    return lambda: _to_str(names()[1])


def _to_str(address: object) -> str:
    match address:
        case tuple():
            return str(new_socket_address(address, AF_INET if len(address) == 2 else AF_INET6))
        case str() | bytes():
            return str(UnixSocketAddress.from_raw(address))
        case _:
            return str(address)


def log_handshake_error(logger: logging.Logger, peer: str, exc: Exception) -> None:
    """Log that the handshake with *peer* has failed.

    What the peer did is one line: a warning, or ``DEBUG`` if it only was too slow or has left, which port scanners and
    health checks do all day. An exception of another kind is a bug in a callback of the context, with its traceback.
    """
    has_left = isinstance(exc, TimeoutError) or is_stream_end(exc) or getattr(exc, "errno", None) == errno.ENOTCONN
    log(
        logger,
        logging.DEBUG if has_left else logging.WARNING,
        "%s: the TLS handshake failed: %s",
        peer,
        str(exc) or type(exc).__name__,
        exc_info=None if isinstance(exc, OSError) else exc,
    )
