"""Helpers for all objects with an asynchronous close."""

from __future__ import annotations

__all__ = ["aclose_forcefully"]

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class _TransportLike(Protocol):
    def aclose(self) -> Awaitable[None]: ...

    def backend(self) -> AsyncBackend: ...


async def aclose_forcefully(transport: _TransportLike) -> None:
    """Close *transport* at once. Unsent data is lost.

    The function calls ``aclose()`` in a cancelled scope. That cancellation does not reach the caller.
    """
    with transport.backend().move_on_after(0):
        await transport.aclose()
