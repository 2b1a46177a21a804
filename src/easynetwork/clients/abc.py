"""Abstract base classes of the clients."""

from __future__ import annotations

__all__ = ["AbstractAsyncNetworkClient", "AbstractNetworkClient"]

import math
import time
from abc import ABCMeta, abstractmethod
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from easynetwork._checks import seconds
from easynetwork._typing import ReceivedPacketT_co, SentPacketT_contra

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Packet = TypeVar("_T_Packet")


class AbstractNetworkClient(Generic[SentPacketT_contra, ReceivedPacketT_co], metaclass=ABCMeta):
    """A blocking client. ``with`` closes it on exit."""

    __slots__ = ("__weakref__",)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def is_closed(self) -> bool:
        """Return whether the client is closed."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Close the client. Idempotent."""
        raise NotImplementedError

    @abstractmethod
    def send_packet(self, packet: SentPacketT_contra, *, timeout: float | None = None) -> None:
        """Send *packet* within *timeout* seconds."""
        raise NotImplementedError

    @abstractmethod
    def recv_packet(self, *, timeout: float | None = None) -> ReceivedPacketT_co:
        """Receive the next packet within *timeout* seconds."""
        raise NotImplementedError

    @abstractmethod
    def fileno(self) -> int:
        """Return the file descriptor, or -1 if the client is closed."""
        raise NotImplementedError

    def iter_received_packets(self, *, timeout: float | None = 0) -> Iterator[ReceivedPacketT_co]:
        """Return an iterator over received packets. It stops at any `OSError`: timeout, end of the stream, ...

        Other errors of `recv_packet`, such as invalid packets, propagate. The iterator can then go on.

        Parameters:
            timeout: total number of seconds that the iterator may wait; None for no limit.

        Raises:
            ValueError: *timeout* is negative or NaN.
        """
        return _PacketIterator(self, timeout)


class _PacketIterator(Iterator[_T_Packet]):
    __slots__ = ("_client", "_remaining")

    def __init__(self, client: AbstractNetworkClient[Any, _T_Packet], timeout: float | None) -> None:
        self._client = client
        self._remaining = seconds(timeout)

    def __next__(self) -> _T_Packet:
        started = time.monotonic()
        try:
            return self._client.recv_packet(timeout=None if self._remaining == math.inf else self._remaining)
        except OSError as exc:
            raise StopIteration from exc
        finally:
            self._remaining = max(self._remaining - (time.monotonic() - started), 0)


class AbstractAsyncNetworkClient(Generic[SentPacketT_contra, ReceivedPacketT_co], metaclass=ABCMeta):
    """An asynchronous client. ``async with`` connects it and closes it on exit."""

    __slots__ = ("__weakref__",)

    async def __aenter__(self) -> Self:
        await self.wait_connected()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()

    @abstractmethod
    def is_connected(self) -> bool:
        """Return whether the client has been connected. The result stays true after the client is closed."""
        raise NotImplementedError

    @abstractmethod
    async def wait_connected(self) -> None:
        """Connect. Concurrent calls share one attempt. Do nothing if connected."""
        raise NotImplementedError

    @abstractmethod
    def is_closing(self) -> bool:
        """Return whether `aclose` was called."""
        raise NotImplementedError

    @abstractmethod
    async def aclose(self) -> None:
        """Close the client. Idempotent."""
        raise NotImplementedError

    @abstractmethod
    async def send_packet(self, packet: SentPacketT_contra) -> None:
        """Send *packet*. Connect first if necessary."""
        raise NotImplementedError

    @abstractmethod
    async def recv_packet(self) -> ReceivedPacketT_co:
        """Receive the next packet. Connect first if necessary."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Return the backend of the client."""
        raise NotImplementedError

    def iter_received_packets(self, *, timeout: float | None = 0) -> AsyncIterator[ReceivedPacketT_co]:
        """Return an iterator over received packets. It stops at any `OSError`: timeout, end of the stream, ...

        Other errors of `recv_packet`, such as invalid packets, propagate. The iterator can then go on.

        Parameters:
            timeout: total number of seconds that the iterator may wait; None for no limit.

        Raises:
            ValueError: *timeout* is negative or NaN.
        """
        return _AsyncPacketIterator(self, timeout)


class _AsyncPacketIterator(AsyncIterator[_T_Packet]):
    __slots__ = ("_client", "_remaining")

    def __init__(self, client: AbstractAsyncNetworkClient[Any, _T_Packet], timeout: float | None) -> None:
        self._client = client
        self._remaining = seconds(timeout)

    async def __anext__(self) -> _T_Packet:
        backend = self._client.backend()
        started = backend.current_time()
        try:
            with backend.timeout(self._remaining):
                return await self._client.recv_packet()
        except OSError as exc:
            raise StopAsyncIteration from exc
        finally:
            self._remaining = max(self._remaining - (backend.current_time() - started), 0)
