"""Closing several transports."""

from __future__ import annotations

__all__ = ["aclose_all"]

from collections.abc import Sequence

from .abc import AsyncBaseTransport
from .utils import aclose_forcefully


async def aclose_all(transports: Sequence[AsyncBaseTransport]) -> None:
    """Closes *transports* one after the other. If one fails or is cancelled, those behind it are closed abruptly."""
    for index, transport in enumerate(transports):
        try:
            await transport.aclose()
        except BaseException:
            for other in transports[index + 1 :]:
                await aclose_forcefully(other)
            raise
