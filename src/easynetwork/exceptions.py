"""Every exception of this library that a user may want to catch."""

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
    """The client is closed, and was asked to do something. It has no ``errno``."""


class ServerClosedError(RuntimeError):
    """The server is closed, and was asked to do something."""


class ServerAlreadyRunning(RuntimeError):
    """``serve_forever()`` was called while another call of it is running."""


class BusyResourceError(RuntimeError):
    """A second task wants to use what only one task may use at a time."""


class UnsupportedOperation(NotImplementedError):
    """This object cannot do that, and never will: end-of-file over TLS, ancillary data over TCP..."""


class IncompletePacketError(ConnectionAbortedError):
    """The stream ended in the middle of a packet. Its ``errno`` is ``ECONNABORTED``.

    Parameters:
        nbytes: how many bytes of the packet were received.
    """

    def __init__(self, nbytes: int) -> None:
        text = f"the peer closed the connection in the middle of a packet ({nbytes} byte{'s' if nbytes != 1 else ''})"
        super().__init__(errno.ECONNABORTED, text)
        self.nbytes: int = nbytes
        """How many bytes of the incomplete packet were received. They are lost."""

    def __reduce__(self) -> tuple[type[IncompletePacketError], tuple[int]]:
        return type(self), (self.nbytes,)


class TypedAttributeLookupError(LookupError):
    """``extra()`` was asked for an attribute that the object does not have (now)."""


# ----------------------------------------------------------------------------------------------- bytes and packets


class DeserializeError(Exception):
    """The bytes are no valid packet.

    Parameters:
        message: what is wrong; the text of the exception.
        error_info: whatever helps to debug. Serializers of this library set it only if made with ``debug=True``,
            because it may contain what the peer has sent.
    """

    def __init__(self, message: str, error_info: Any = None) -> None:
        super().__init__(message)
        self.error_info: Any = error_info
        """Whatever helps to debug, or None."""


class IncrementalDeserializeError(DeserializeError):
    """The bytes of a stream are no valid packet; it is known where parsing may go on.

    Parameters:
        message: what is wrong; the text of the exception.
        remaining_data: the bytes after the invalid packet.
        error_info: whatever helps to debug.
    """

    def __init__(self, message: str, remaining_data: ReadableBuffer, error_info: Any = None) -> None:
        super().__init__(message, error_info)
        self.remaining_data: ReadableBuffer = remaining_data
        """The bytes after the invalid packet. Copy them with ``bytes()``: it may be a view of a buffer used again."""


class LimitOverrunError(IncrementalDeserializeError):
    """A packet is larger than its serializer allows.

    Parameters:
        message: what is wrong; the text of the exception.
        buffer: all the bytes held.
        consumed: how many of them are given up.
        separator: what ends a packet, if anything does. The rest of the buffer is then skipped as far as a separator
            which is whole (a packet starts after it) or which may become whole with the next bytes.

    In a stream, the rest of the packet is dropped up to the separator, whenever that arrives. Without a separator, the
    next packet begins after the *consumed* bytes. If these are the whole buffer, nothing says where the packet ends:
    the stream cannot continue.
    """

    def __init__(self, message: str, buffer: ReadableBuffer, consumed: int, separator: bytes = b"") -> None:
        tail = bytes(memoryview(buffer).cast("B")[consumed:])
        super().__init__(message, _after_overrun(tail, separator) if separator else tail)
        self.consumed: int = consumed
        """How many bytes of the buffer were given up."""

        # For the decoders. What the packet still brings must not depend on how the network splits the stream.
        self._separator: bytes = separator
        self._is_over: bool = tail.startswith(separator) if separator else bool(tail)
        """Whether the packet has ended: the next one begins with the remaining data."""
        self._rest: Generator[None, bytes, bytes] | None = None
        """Takes what the packet still brings, and returns what follows it, where no separator says so."""


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
    """A converter refuses what a serializer has produced.

    Parameters:
        message: what is wrong; the text of the exception.
        error_info: whatever helps to debug.
    """

    def __init__(self, message: str, error_info: Any = None) -> None:
        super().__init__(message)
        self.error_info: Any = error_info
        """Whatever helps to debug, or None."""


class BaseProtocolParseError(Exception):
    """What was received is no valid packet. Base of the exceptions that protocol objects raise.

    Parameters:
        error: what the serializer or the converter has raised.
    """

    def __init__(self, error: DeserializeError | PacketConversionError) -> None:
        super().__init__(f"Received data is no valid packet: {error}")
        self.error: DeserializeError | PacketConversionError = error
        """What the serializer or the converter has raised."""


class DatagramProtocolParseError(BaseProtocolParseError):
    """A received datagram is no valid packet."""


class StreamProtocolParseError(BaseProtocolParseError):
    """Bytes received from a stream are no valid packet.

    Parameters:
        remaining_data: the bytes after the invalid packet.
        error: what the serializer or the converter has raised.
    """

    error: IncrementalDeserializeError | PacketConversionError

    def __init__(
        self, remaining_data: ReadableBuffer, error: IncrementalDeserializeError | PacketConversionError
    ) -> None:
        super().__init__(error)
        self.remaining_data: ReadableBuffer = remaining_data
        """The bytes after the invalid packet. Copy them with ``bytes()``: it may be a view of a buffer used again."""
