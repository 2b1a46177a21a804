"""How long closing may take, and closing several transports."""

from __future__ import annotations

__all__ = ["CLOSE_TIMEOUT", "aclose_all"]

from collections.abc import Sequence
from typing import Final

from .abc import AsyncBaseTransport
from .utils import aclose_forcefully

CLOSE_TIMEOUT: Final = 30.0
"""Seconds a graceful close may take. Otherwise, a peer that never reads would keep the connection for ever."""


async def aclose_all(transports: Sequence[AsyncBaseTransport]) -> None:
    """Closes *transports* one after the other. If one fails or is cancelled, those behind it are closed abruptly."""
    for index, transport in enumerate(transports):
        try:
            await transport.aclose()
        except BaseException:
            for other in transports[index + 1 :]:
                await aclose_forcefully(other)
            raise
