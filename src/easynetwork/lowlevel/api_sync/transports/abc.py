"""What a blocking transport has to offer. Subclass these to bring a transport of your own.

Every method that does I/O takes a *timeout* in seconds, ``math.inf`` for no limit. With 0 it does what can be done
without waiting. Transports are not thread-safe; only sending and receiving at the same time is fine.
"""

from __future__ import annotations

__all__ = [
    "BaseTransport",
    "DatagramReadTransport",
    "DatagramTransport",
    "DatagramWriteTransport",
    "StreamReadTransport",
    "StreamTransport",
    "StreamWriteTransport",
]

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel import typed_attr
from easynetwork.lowlevel._deadline import Deadline
from easynetwork.lowlevel._hooks import drop_overridden_hooks

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import WriteableBuffer


class BaseTransport(typed_attr.TypedAttributeProvider, metaclass=ABCMeta):
    """What all transports and endpoints have in common. ``with`` closes on exit."""

    __slots__ = ("__weakref__",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        drop_overridden_hooks(cls)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Closes. Idempotent."""
        raise NotImplementedError

    @abstractmethod
    def is_closed(self) -> bool:
        """Returns whether `close` was called. A connection that broke is not closed by that alone."""
        raise NotImplementedError


def recv_by_buffer(bufsize: int, recv_into: Callable[[bytearray], int]) -> bytes:
    """Returns what *recv_into* receives into a buffer of *bufsize* bytes."""
    if bufsize == 0:
        return b""
    if bufsize < 0:
        raise ValueError(f"'bufsize' must not be negative, got {bufsize}")
    buffer = bytearray(bufsize)
    nbytes = recv_into(buffer)
    if nbytes < 0:
        raise RuntimeError("A negative number of bytes was received")
    return bytes(memoryview(buffer)[:nbytes])


class StreamReadTransport(BaseTransport):
    """The receiving direction of a byte stream."""

    __slots__ = ()

    def recv(self, bufsize: int, timeout: float) -> bytes:
        """Receives at least one byte and at most *bufsize* bytes, within *timeout* seconds.

        Returns:
            The bytes; ``b""`` at the end of the stream, and for a *bufsize* of 0, which waits for nothing.

        Raises:
            ValueError: *bufsize* or *timeout* is negative.
            TimeoutError: nothing has come in time.
            OSError: the connection broke or the transport is closed.
        """
        return recv_by_buffer(bufsize, lambda buffer: self.recv_into(buffer, timeout))

    @abstractmethod
    def recv_into(self, buffer: WriteableBuffer, timeout: float) -> int:
        """Receives at least one byte into *buffer*, a writable contiguous buffer, within *timeout* seconds.

        Returns:
            The number of bytes written; 0 at the end of the stream, and for an empty *buffer*, which waits for nothing.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: nothing has come in time.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        """Like `recv`, together with ancillary data: a list of ``(level, type, data)`` as :manpage:`recvmsg(2)` gives.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. What it left is closed; the bytes stay for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv_with_ancillary_into(
        self, buffer: WriteableBuffer, ancillary_bufsize: int, timeout: float
    ) -> tuple[int, Any]:
        """Like `recv_into`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. What it left is closed; the bytes stay for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class StreamWriteTransport(BaseTransport):
    """The sending direction of a byte stream."""

    __slots__ = ()

    @abstractmethod
    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> int:
        """Sends some of *data*, any contiguous buffer of bytes, within *timeout* seconds.

        Returns:
            How many bytes of *data* the system has taken.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: nothing could be sent in time.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        """Sends *data*, all of it within *timeout* seconds.

        Raises:
            TimeoutError: it has taken too long. Nobody knows how much was sent.

        Besides this, all that `send` raises.
        """
        deadline = Deadline(timeout)
        remaining = memoryview(data).cast("B")
        while True:
            sent = self.send(remaining, timeout)
            if sent < 0:
                raise RuntimeError("send() returned a negative number of bytes")
            remaining = remaining[sent:]
            if not remaining:
                return
            timeout = deadline.remaining()

    def send_all_from_iterable(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], timeout: float
    ) -> None:
        """Sends several pieces as one. The iterable is consumed before the first byte is sent."""
        self.send_all(b"".join(iterable_of_data), timeout)

    def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any, timeout: float
    ) -> None:
        """Sends all pieces together with *ancillary_data* in one :manpage:`sendmsg(2)`.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the data does not fit in one call.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class StreamTransport(StreamWriteTransport, StreamReadTransport):
    """A byte stream in both directions."""

    __slots__ = ()

    @abstractmethod
    def send_eof(self) -> None:
        """Closes the sending direction. Receiving stays possible.

        Raises:
            UnsupportedOperation: the transport cannot be closed in one direction only (TLS).
        """
        raise NotImplementedError


class DatagramReadTransport(BaseTransport):
    """The receiving direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    def recv(self, timeout: float) -> bytes:
        """Receives one datagram, within *timeout* seconds; an empty one is a datagram like any other.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: nothing has come in time.
            OSError: the transport is closed, or the network reported an error.
        """
        raise NotImplementedError

    def recv_with_ancillary(self, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        """Like `recv`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. What it left is closed; the bytes stay for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class DatagramWriteTransport(BaseTransport):
    """The sending direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        """Sends one datagram, within *timeout* seconds.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: the system did not take it in time.
            OSError: the transport is closed, the datagram is too long (``EMSGSIZE``), or the network reported an error.
        """
        raise NotImplementedError

    def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any, timeout: float) -> None:
        """Like `send`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class DatagramTransport(DatagramWriteTransport, DatagramReadTransport):
    """Datagrams to and from one peer."""

    __slots__ = ()
