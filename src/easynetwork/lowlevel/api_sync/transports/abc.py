"""Abstract base classes of the blocking transports. Subclass them to implement a custom transport.

Every method that does I/O takes a *timeout* in seconds; ``math.inf`` means no limit. With 0, it does not wait.
Transports are not thread-safe, except that one thread may send while another receives.
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
    """Base class of all transports and endpoints. ``with`` closes them on exit."""

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
        """Close the transport. Idempotent."""
        raise NotImplementedError

    @abstractmethod
    def is_closed(self) -> bool:
        """Return whether `close` was called. A broken connection is not closed."""
        raise NotImplementedError


def recv_by_buffer(bufsize: int, recv_into: Callable[[bytearray], int]) -> bytes:
    """Return the bytes that *recv_into* receives into a buffer of *bufsize* bytes."""
    if bufsize == 0:
        return b""
    if bufsize < 0:
        raise ValueError(f"'bufsize' must not be negative, got {bufsize}")
    buffer = bytearray(bufsize)
    nbytes = recv_into(buffer)
    if nbytes < 0:
        raise RuntimeError("recv_into() returned a negative number of bytes")
    return bytes(memoryview(buffer)[:nbytes])


class StreamReadTransport(BaseTransport):
    """The receiving direction of a byte stream."""

    __slots__ = ()

    def recv(self, bufsize: int, timeout: float) -> bytes:
        """Receive at least one byte and at most *bufsize* bytes within *timeout* seconds.

        Returns:
            The bytes; ``b""`` at the end of the stream. If *bufsize* is 0, return ``b""`` without waiting.

        Raises:
            ValueError: *bufsize* or *timeout* is negative.
            TimeoutError: nothing arrived in time.
            OSError: the connection broke or the transport is closed.
        """
        return recv_by_buffer(bufsize, lambda buffer: self.recv_into(buffer, timeout))

    @abstractmethod
    def recv_into(self, buffer: WriteableBuffer, timeout: float) -> int:
        """Receive at least one byte into *buffer*, a writable contiguous buffer, within *timeout* seconds.

        Returns:
            The number of bytes written; 0 at the end of the stream. If *buffer* is empty, return 0 without waiting.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: nothing arrived in time.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        """Receive bytes like `recv`, together with ancillary data.

        The ancillary data is a list of ``(level, type, data)`` as in :manpage:`recvmsg(2)`.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE``: the system truncated the ancillary data, for lack of buffer space or of free file
                descriptors. Received descriptors are closed; the bytes are kept for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv_with_ancillary_into(
        self, buffer: WriteableBuffer, ancillary_bufsize: int, timeout: float
    ) -> tuple[int, Any]:
        """Receive bytes like `recv_into`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE``: the system truncated the ancillary data, for lack of buffer space or of free file
                descriptors. Received descriptors are closed; the bytes are kept for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class StreamWriteTransport(BaseTransport):
    """The sending direction of a byte stream."""

    __slots__ = ()

    @abstractmethod
    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> int:
        """Send part of *data*, any contiguous buffer of bytes, within *timeout* seconds.

        Returns:
            The number of bytes of *data* that the system accepted.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: nothing could be sent in time.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        """Send all of *data* within *timeout* seconds.

        Raises:
            TimeoutError: the data was not sent in time. Any part of it may have been sent.

        It also raises all errors of `send`.
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
        """Send several pieces as one. The iterable is consumed before the first byte is sent."""
        self.send_all(b"".join(iterable_of_data), timeout)

    def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any, timeout: float
    ) -> None:
        """Send all pieces together with *ancillary_data* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE``: the data does not fit in one call.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class StreamTransport(StreamWriteTransport, StreamReadTransport):
    """A byte stream in both directions."""

    __slots__ = ()

    @abstractmethod
    def send_eof(self) -> None:
        """Close the sending direction. Receiving remains possible.

        Raises:
            UnsupportedOperation: the transport cannot close only one direction (TLS).
        """
        raise NotImplementedError


class DatagramReadTransport(BaseTransport):
    """The receiving direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    def recv(self, timeout: float) -> bytes:
        """Receive one datagram within *timeout* seconds. An empty datagram is valid.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: no datagram arrived in time.
            OSError: the transport is closed, or the network reported an error.
        """
        raise NotImplementedError

    def recv_with_ancillary(self, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        """Receive one datagram like `recv`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            OSError: ``EMSGSIZE``: the system truncated the ancillary data, for lack of buffer space or of free file
                descriptors. Received descriptors are closed; the datagram is kept for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class DatagramWriteTransport(BaseTransport):
    """The sending direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        """Send one datagram within *timeout* seconds.

        Raises:
            ValueError: *timeout* is negative.
            TimeoutError: the system did not accept the datagram in time.
            OSError: the transport is closed, the datagram is too long (``EMSGSIZE``), or the network reported an error.
        """
        raise NotImplementedError

    def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any, timeout: float) -> None:
        """Send one datagram like `send`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class DatagramTransport(DatagramWriteTransport, DatagramReadTransport):
    """Datagrams to and from one peer."""

    __slots__ = ()
