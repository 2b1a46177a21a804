"""Exceptions that user code may want to catch."""

from __future__ import annotations

__all__ = [
    "BaseProtocolParseError",
    "BusyResourceError",
    "ClientClosedError",
    "DatagramProtocolParseError",
    "DeserializeError",
    "IncompletePacketError",
    "IncrementalDeserializeError",
    "LimitOverrunError",
    "PacketConversionError",
    "ServerAlreadyRunning",
    "ServerClosedError",
    "StreamProtocolParseError",
    "TypedAttributeLookupError",
    "UnsupportedOperation",
]

import errno
from collections.abc import Generator
from typing import Any

from ._typing import ReadableBuffer

# ------------------------------------------------------------------------------------ clients, servers, transports


class ClientClosedError(ConnectionError):
    """An operation was attempted on a closed client. ``errno`` is None."""


class ServerClosedError(RuntimeError):
    """An operation was attempted on a closed server."""


class ServerAlreadyRunning(RuntimeError):
    """``serve_forever()`` was called while the server is already running."""


class BusyResourceError(RuntimeError):
    """A second task tries to use a resource that only one task may use at a time."""


class UnsupportedOperation(NotImplementedError):
    """This object does not support the operation, for example ``send_eof()`` over TLS, or ancillary data over TCP."""


class IncompletePacketError(ConnectionAbortedError):
    """The stream ended in the middle of a packet. Its ``errno`` is ``ECONNABORTED``.

    Parameters:
        nbytes: number of bytes received of the packet.
    """

    def __init__(self, nbytes: int) -> None:
        text = f"the peer closed the connection in the middle of a packet ({nbytes} byte{'s' if nbytes != 1 else ''})"
        super().__init__(errno.ECONNABORTED, text)
        self.nbytes: int = nbytes
        """Number of bytes received of the incomplete packet. They are discarded."""

    def __reduce__(self) -> tuple[type[IncompletePacketError], tuple[int]]:
        return type(self), (self.nbytes,)


class TypedAttributeLookupError(LookupError):
    """The object given to ``extra()`` does not have the attribute, or has no value for it at present."""


# ----------------------------------------------------------------------------------------------- bytes and packets


class DeserializeError(Exception):
    """The bytes are not a valid packet.

    Parameters:
        message: what is wrong; the text of the exception.
        error_info: debugging data of any type. The serializers of this library set it only if they were created with
            ``debug=True``, because it may contain data from the peer.
    """

    def __init__(self, message: str, error_info: Any = None) -> None:
        super().__init__(message)
        self.error_info: Any = error_info
        """Debugging data of any type, or None."""


class IncrementalDeserializeError(DeserializeError):
    """Bytes in a stream are not a valid packet. Parsing can continue after them.

    Parameters:
        message: what is wrong; the text of the exception.
        remaining_data: the bytes after the invalid packet.
        error_info: debugging data of any type.
    """

    def __init__(self, message: str, remaining_data: ReadableBuffer, error_info: Any = None) -> None:
        super().__init__(message, error_info)
        self.remaining_data: ReadableBuffer = remaining_data
        """The bytes after the invalid packet. Copy them with ``bytes()``: they may be a view of a reused buffer."""

        # For the decoders.
        self._is_over: bool = True
        """Whether the packet has ended, so that the next one starts with the remaining data."""
        self._separator: bytes = b""
        """The bytes that end the packet, if it has not ended."""
        self._rest: Generator[None, bytes, bytes] | None = None
        """Generator that drops the rest of the packet and returns the bytes after it. Otherwise its end is unknown."""


class LimitOverrunError(IncrementalDeserializeError):
    """A packet is larger than the limit of its serializer.

    Parameters:
        message: what is wrong; the text of the exception.
        buffer: all bytes received so far.
        consumed: number of bytes to drop from the start of *buffer*.
        separator: the bytes that end a packet; empty if there is no separator. If given, ``remaining_data`` starts
            after a separator that directly follows the dropped bytes. Otherwise it starts at the first separator in
            the rest of *buffer*, or at trailing bytes that may be the start of one.

    In a stream, the rest of the packet is dropped up to the next separator, even if that arrives later. Without a
    separator, the next packet starts after the *consumed* bytes. If *consumed* is the whole buffer, the end of the
    packet is unknown and the stream cannot continue.
    """

    def __init__(self, message: str, buffer: ReadableBuffer, consumed: int, separator: bytes = b"") -> None:
        tail = bytes(memoryview(buffer).cast("B")[consumed:])
        super().__init__(message, _after_overrun(tail, separator) if separator else tail)
        self.consumed: int = consumed
        """Number of bytes dropped from the start of the buffer."""

        # The errors raised for the rest of the packet must not depend on how the network splits it.
        self._separator = separator
        self._is_over = tail.startswith(separator) if separator else bool(tail)


def _after_overrun(tail: bytes, separator: bytes) -> bytes:
    if tail.startswith(separator):
        return tail[len(separator) :]
    index = tail.find(separator)
    if index >= 0:
        return tail[index:]
    for size in range(min(len(separator) - 1, len(tail)), 0, -1):
        if tail.endswith(separator[:size]):
            return tail[-size:]
    return b""


class PacketConversionError(Exception):
    """A converter rejects a deserialized object.

    Parameters:
        message: what is wrong; the text of the exception.
        error_info: debugging data of any type.
    """

    def __init__(self, message: str, error_info: Any = None) -> None:
        super().__init__(message)
        self.error_info: Any = error_info
        """Debugging data of any type, or None."""


class BaseProtocolParseError(Exception):
    """Received data is not a valid packet. Base class of the exceptions that protocol objects raise.

    Parameters:
        error: the exception from the serializer or the converter.
    """

    def __init__(self, error: DeserializeError | PacketConversionError) -> None:
        super().__init__(f"Received data is not a valid packet: {error}")
        self.error: DeserializeError | PacketConversionError = error
        """The exception from the serializer or the converter."""


class DatagramProtocolParseError(BaseProtocolParseError):
    """A received datagram is not a valid packet."""


class StreamProtocolParseError(BaseProtocolParseError):
    """Bytes received from a stream are not a valid packet.

    Parameters:
        remaining_data: the bytes after the invalid packet.
        error: the exception from the serializer or the converter.
    """

    error: IncrementalDeserializeError | PacketConversionError

    def __init__(
        self, remaining_data: ReadableBuffer, error: IncrementalDeserializeError | PacketConversionError
    ) -> None:
        super().__init__(error)
        self.remaining_data: ReadableBuffer = remaining_data
        """The bytes after the invalid packet. Copy them with ``bytes()``: they may be a view of a reused buffer."""
