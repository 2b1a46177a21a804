"""Log records of a listener about failed TLS handshakes."""

from __future__ import annotations

__all__ = ["failure_reason", "keep_peer_name", "log_handshake_error"]

import errno
import logging
from collections.abc import Callable
from socket import AF_INET, AF_INET6

from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._records import Logger, about, log, printable
from easynetwork.lowlevel._sockets.unix_address import UnixSocketAddress
from easynetwork.lowlevel.socket import new_socket_address

from ._hooks import keep_names
from ._proxy_headers import header_of
from .abc import AsyncStreamTransport


def keep_peer_name(transport: AsyncStreamTransport) -> Callable[[], str]:
    """Return a function that returns the peer's name for log records, even after *transport* is closed.

    If the connection began with a PROXY header, the peer is the client that it names.
    """
    header = header_of(transport)
    if header is not None and (client := header.client) is not None:
        return lambda: _to_str(client)
    try:
        names = keep_names(transport)
    except Exception:  # the peer has already gone, or a custom transport has no addresses
        return lambda: "an unknown peer"
    return lambda: _to_str(names(transport)[1])


def _to_str(address: object) -> str:
    match address:
        case tuple():
            return str(new_socket_address(address, AF_INET if len(address) == 2 else AF_INET6))
        case str() | bytes():
            return printable(str(UnixSocketAddress.from_raw(address)))
        case _:
            return str(address)


def failure_reason(exc: Exception) -> str:
    """Return why a handshake failed: ``"late"``, ``"left"`` (the peer has disconnected) or ``"refused"``."""
    if isinstance(exc, TimeoutError):
        return "late"
    return "left" if is_stream_end(exc) or getattr(exc, "errno", None) == errno.ENOTCONN else "refused"


def log_handshake_error(logger: Logger, peer: str, exc: Exception) -> None:
    """Log that the handshake with *peer* failed.

    An error caused by the peer is one line: at ``WARNING``, or at ``DEBUG`` if the peer was too slow or left, as port
    scanners and health checks do all day. Any other exception is a bug in a callback of the TLS context, and its
    traceback is logged too.
    """
    reason = failure_reason(exc)
    log(
        logger,
        logging.WARNING if reason == "refused" else logging.DEBUG,
        "%s: the TLS handshake failed: %s",
        peer,
        printable(str(exc)) or type(exc).__name__,
        exc_info=None if isinstance(exc, OSError) else exc,
        extra=about(peer, reason=reason),
    )
