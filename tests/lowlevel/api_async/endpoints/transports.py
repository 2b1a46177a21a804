"""The base of the transports that tests of endpoints make themselves."""

from __future__ import annotations

__all__ = ["MinimalTransport"]

from typing import Any

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport
from easynetwork.lowlevel.socket import SocketAttribute


class MinimalTransport(AsyncBaseTransport):
    """Closes, and has the name of a peer. It cannot send nor receive."""

    def __init__(self, backend: AsyncBackend) -> None:
        self.used_backend = backend
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True
        await self.used_backend.coro_yield()

    def is_closing(self) -> bool:
        return self.closed

    def backend(self) -> AsyncBackend:
        return self.used_backend

    @property
    def extra_attributes(self) -> Any:
        return {SocketAttribute.peername: lambda: "somebody"}
