"""What the author of a transport writes to have it checked."""

from __future__ import annotations

__all__ = ["StreamHarness"]

import contextlib
from abc import ABCMeta, abstractmethod

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

from .checks import Feature
from .peers import StreamPeer


class StreamHarness(metaclass=ABCMeta):
    """How to get a connected stream transport."""

    features: Feature
    """What this transport can do."""

    capacity: int = 1 << 23
    """Bytes that are certainly too many to be sent while the peer receives none. All buffers in between count: take
    care that they are small, and the checks are fast."""

    @abstractmethod
    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, StreamPeer]:
        """Returns a transport, and the peer at its other end.

        Nobody else may keep a reference to the transport.

        Parameters:
            backend: what the transport is to run on.
            cleanup: closed after the check, when the transport and the peer have been closed.
        """

    def shorten_close_timeout(self) -> contextlib.AbstractContextManager[object] | None:
        """Makes the deadline for closing a few milliseconds, for transports that are made in the returned context.

        None, by default, means that it cannot be shortened, and is not checked.
        """
        return None

    def __str__(self) -> str:
        return type(self).__name__.removesuffix("Harness")
