"""The time limit for a close, and closing several transports."""

from __future__ import annotations

__all__ = ["CLOSE_TIMEOUT", "aclose_all"]

from collections.abc import Sequence
from typing import Final

from .abc import AsyncBaseTransport
from .utils import aclose_forcefully

CLOSE_TIMEOUT: Final = 30.0
"""Time limit for a graceful close, in seconds. Otherwise, a peer that never reads would keep the connection open."""


async def aclose_all(transports: Sequence[AsyncBaseTransport]) -> None:
    """Close *transports* in order. If one close fails or is cancelled, close the remaining transports abruptly."""
    for index, transport in enumerate(transports):
        try:
            await transport.aclose()
        except BaseException:
            for other in transports[index + 1 :]:
                await aclose_forcefully(other)
            raise
