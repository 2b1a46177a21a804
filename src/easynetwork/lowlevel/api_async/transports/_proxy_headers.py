"""The PROXY headers of open connections.

They are kept beside the transports, so that a connection through a proxy has the same transport as any other.
"""

from __future__ import annotations

__all__ = ["header_of", "keep_header"]

from typing import Final
from weakref import WeakKeyDictionary

from easynetwork.lowlevel._core.proxy_protocol import ProxyHeader

from ._hooks import innermost
from .abc import AsyncStreamTransport

_headers: Final[WeakKeyDictionary[AsyncStreamTransport, ProxyHeader]] = WeakKeyDictionary()


def keep_header(transport: AsyncStreamTransport, header: ProxyHeader) -> None:
    """Note that *transport* began with *header*."""
    _headers[transport] = header


def header_of(transport: AsyncStreamTransport) -> ProxyHeader | None:
    """Return the header with which the connection of *transport* began, also if TLS has followed. None without one."""
    return _headers.get(innermost(transport))
