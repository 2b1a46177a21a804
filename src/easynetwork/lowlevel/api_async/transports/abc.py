"""The interfaces of asynchronous transports. Subclass these to implement your own transport."""

from __future__ import annotations

__all__ = [
    "AsyncBaseTransport",
    "AsyncDatagramListener",
    "AsyncDatagramReadTransport",
    "AsyncDatagramTransport",
    "AsyncDatagramWriteTransport",
    "AsyncListener",
    "AsyncStreamReadTransport",
    "AsyncStreamTransport",
    "AsyncStreamWriteTransport",
]

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel import typed_attr
from easynetwork.lowlevel._hooks import drop_overridden_hooks

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_co = TypeVar("_T_co", covariant=True)
_T_Address = TypeVar("_T_Address")


class AsyncBaseTransport(typed_attr.TypedAttributeProvider, metaclass=ABCMeta):
    """Base class of all transports, listeners, endpoints and low-level servers.

    Leaving an ``async with`` block closes the object.
    """

    __slots__ = ("__weakref__",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        drop_overridden_hooks(cls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Close gracefully: send the accepted data first.

        If a byte stream has unread input, the close discards input until the peer ends the stream too, or for some
        seconds. Otherwise the system would reset the connection, and the peer would lose the end of the sent data.

        Idempotent. If cancelled, the transport is closed at once, unsent data is lost, and the cancellation propagates.
        """
        raise NotImplementedError

    @abstractmethod
    def is_closing(self) -> bool:
        """Return true once `aclose` has been called. A broken connection alone does not make it true."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Return the backend that this object uses."""
        raise NotImplementedError


class AsyncStreamReadTransport(AsyncBaseTransport):
    """The receiving direction of a byte stream."""

    __slots__ = ()

    async def recv(self, bufsize: int) -> bytes:
        """Receive at least one byte and at most *bufsize* bytes.

        A cancelled call loses no data.

        Returns:
            The bytes. ``b""`` means the end of the stream. A *bufsize* of 0 returns ``b""`` at once.

        Raises:
            ValueError: *bufsize* is negative.
            BusyResourceError: another task is receiving.
            OSError: the connection broke or the transport is closed.
        """
        if bufsize == 0:
            return b""
        if bufsize < 0:
            raise ValueError(f"'bufsize' must not be negative, got {bufsize}")
        buffer = bytearray(bufsize)
        nbytes = await self.recv_into(buffer)
        if nbytes < 0:
            raise RuntimeError("recv_into() returned a negative number of bytes")
        return bytes(memoryview(buffer)[:nbytes])

    @abstractmethod
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        """Receive at least one byte into *buffer*, a writable contiguous buffer.

        Returns:
            The number of bytes written. 0 means the end of the stream. An empty *buffer* returns 0 at once.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Receive like `recv`, with ancillary data: a list of ``(level, type, data)``, as in :manpage:`recvmsg(2)`.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE`` if the system truncated the ancillary data, because *ancillary_bufsize* is too small
                or file descriptors ran out. The descriptors received are closed; the next call returns the bytes.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        """Receive like `recv_into`, with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE`` if the system truncated the ancillary data, because *ancillary_bufsize* is too small
                or file descriptors ran out. The descriptors received are closed; the next call returns the bytes.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class AsyncStreamWriteTransport(AsyncBaseTransport):
    """The sending direction of a byte stream."""

    __slots__ = ()

    @abstractmethod
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, any contiguous buffer of bytes.

        Return once the data has been accepted and only a bounded amount waits in memory. After a cancellation, an
        unknown part of *data* may have been sent.

        Raises:
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    async def send_all_from_iterable(self, iterable_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several buffers as one. The iterable is consumed before the first byte is sent."""
        await self.send_all(b"".join(iterable_of_data))

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        """Send all buffers and *ancillary_data* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE`` if the data does not fit in one call.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class AsyncStreamTransport(AsyncStreamWriteTransport, AsyncStreamReadTransport):
    """A byte stream in both directions."""

    __slots__ = ()

    @abstractmethod
    async def send_eof(self) -> None:
        """Send the accepted data, then close the sending direction. Receiving remains possible.

        Raises:
            UnsupportedOperation: the transport cannot close one direction only (TLS).
        """
        raise NotImplementedError


class AsyncDatagramReadTransport(AsyncBaseTransport):
    """The receiving direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    async def recv(self) -> bytes:
        """Receive one datagram. It may be empty.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: the transport is closed, or the network reported an error.
        """
        raise NotImplementedError

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Receive like `recv`, with ancillary data: a list of ``(level, type, data)``, as in :manpage:`recvmsg(2)`.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE`` if the system truncated the ancillary data, because *ancillary_bufsize* is too small
                or file descriptors ran out. The descriptors received are closed; the next call returns the datagram.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams that arrived but were dropped because they were not received in time. 0 if unknown.

        The sockets of this library know the exact number on Linux. After the transport is closed, the number stays.
        """
        return 0


class AsyncDatagramWriteTransport(AsyncBaseTransport):
    """The sending direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send one datagram.

        Raises:
            OSError: the transport is closed, the datagram is too long (``EMSGSIZE``), or the network reported an error.
        """
        raise NotImplementedError

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        """Send like `send`, with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class AsyncDatagramTransport(AsyncDatagramWriteTransport, AsyncDatagramReadTransport):
    """A datagram transport connected to one peer."""

    __slots__ = ()


class AsyncListener(AsyncBaseTransport, Generic[_T_co]):
    """Accepts connections."""

    __slots__ = ()

    @abstractmethod
    async def serve(
        self,
        handler: Callable[[_T_co], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Accept connections until cancelled or closed. Run *handler* in a new task for each connection.

        Parameters:
            handler: called with the transport of the new connection, which it then owns.
            task_group: the group for the tasks. If None, the call creates its own.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF`` if the listener is closed.
        """
        raise NotImplementedError


class AsyncDatagramListener(AsyncBaseTransport, Generic[_T_Address]):
    """A datagram socket that receives from any peer and sends to any peer."""

    __slots__ = ()

    @abstractmethod
    async def serve(
        self,
        handler: Callable[[bytes, _T_Address], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Receive datagrams until cancelled or closed. Run *handler* in a new task for each datagram.

        The tasks start in the order of reception.

        Parameters:
            handler: called with the datagram and the address of its sender.
            task_group: the group for the tasks. If None, the call creates its own.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF`` if the listener is closed.
        """
        raise NotImplementedError

    async def serve_with_ancillary(
        self,
        handler: Callable[[bytes, Any | None, _T_Address], Coroutine[Any, Any, None]],
        ancillary_bufsize: int,
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Like `serve`, but also pass the ancillary data of the datagram to *handler*.

        If the system truncated the ancillary data, iterating over it raises `OSError` (``EMSGSIZE``), and its
        descriptors are already closed.

        Raises:
            UnsupportedOperation: this listener does not support ancillary data.
        """
        raise UnsupportedOperation("This listener does not support receiving ancillary data")

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams that arrived but were dropped because they were not read in time. 0 if unknown.

        The sockets of this library know the exact number on Linux. After the listener is closed, the number stays.
        """
        return 0

    @abstractmethod
    async def send_to(self, data: bytes | bytearray | memoryview, address: _T_Address) -> None:
        """Send one datagram to *address*. Several tasks may send at the same time.

        Raises:
            OSError: for example if the listener is closed (``EBADF``) or the datagram is too long (``EMSGSIZE``).
        """
        raise NotImplementedError

    async def send_with_ancillary_to(
        self, data: bytes | bytearray | memoryview, ancillary_data: Any, address: _T_Address
    ) -> None:
        """Send like `send_to`, with ancillary data.

        Raises:
            UnsupportedOperation: this listener does not support ancillary data.
        """
        raise UnsupportedOperation("This listener does not support sending ancillary data")
