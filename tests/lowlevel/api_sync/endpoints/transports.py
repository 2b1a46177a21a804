"""The base of the transports that tests of endpoints make themselves."""

from __future__ import annotations

__all__ = ["MinimalTransport"]

from typing import Any

from easynetwork.lowlevel.api_sync.transports.abc import BaseTransport
from easynetwork.lowlevel.socket import SocketAttribute


class MinimalTransport(BaseTransport):
    """Closes, and has the name of a peer. It cannot send nor receive."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed

    @property
    def extra_attributes(self) -> Any:
        return {SocketAttribute.peername: lambda: "somebody"}
