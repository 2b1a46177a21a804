"""What the author of a transport writes to have it checked."""

from __future__ import annotations

__all__ = ["DatagramHarness", "DatagramListenerHarness", "Harness", "ListenerHarness", "StreamHarness"]

import contextlib
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from typing import Any

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncDatagramListener,
    AsyncDatagramTransport,
    AsyncListener,
    AsyncStreamTransport,
)

from .checks import Feature
from .peers import DatagramPeer, StreamPeer


class Harness(metaclass=ABCMeta):
    """Base of all harnesses."""

    features: Feature
    """What can be expected."""

    def __str__(self) -> str:
        return type(self).__name__.removesuffix("Harness")


class StreamHarness(Harness):
    """How to get a connected stream transport."""

    capacity: int = 1 << 23
    """Bytes that are certainly too many to be sent while the peer receives none. All buffers in between count: take
    care that they are small, and the checks are fast."""

    @abstractmethod
    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncStreamTransport, StreamPeer]:
        """Return a transport, and the peer at its other end.

        The harness must not keep a reference to the transport.

        Parameters:
            backend: what the transport is to run on.
            cleanup: closed after the check, when the transport and the peer have been closed.
        """

    def shorten_close_timeout(self) -> contextlib.AbstractContextManager[object] | None:
        """Make the deadline for closing a few milliseconds, for transports that are made in the returned context.

        None, by default, means that it cannot be shortened, and is not checked.
        """
        return None


class ListenerHarness(Harness):
    """How to get a listener, and to connect to it."""

    @abstractmethod
    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncListener[AsyncStreamTransport], Callable[[], StreamPeer]]:
        """Return a listener with room for a hundred connections that wait, and what connects to it without waiting.

        The harness must not keep a reference to the listener.

        Parameters:
            backend: what the listener is to run on.
            cleanup: closed after the check, when the listener and all peers have been closed.
        """


class DatagramHarness(Harness):
    """How to get a datagram transport that talks to one peer."""

    largest: int
    """Size in bytes of the largest datagram."""

    @abstractmethod
    async def connect(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramTransport, DatagramPeer]:
        """Return a transport, and its peer.

        The harness must not keep a reference to the transport.

        Parameters:
            backend: what the transport is to run on.
            cleanup: closed after the check, when the transport and the peer have been closed.
        """


class DatagramListenerHarness(Harness):
    """How to get a listener for datagrams, and peers that send to it."""

    largest: int
    """Size in bytes of the largest datagram."""

    @abstractmethod
    async def listen(
        self, backend: AsyncBackend, cleanup: contextlib.ExitStack
    ) -> tuple[AsyncDatagramListener[Any], Callable[[], DatagramPeer]]:
        """Return a listener, and what makes peers that talk to it, each from an address of its own.

        The harness must not keep a reference to the listener.

        Parameters:
            backend: what the listener is to run on.
            cleanup: closed after the check, when the listener and all peers have been closed.
        """

    @abstractmethod
    def address_of(self, peer: DatagramPeer) -> Any:
        """Return the address that the datagrams of *peer* come from, as handlers get it."""
