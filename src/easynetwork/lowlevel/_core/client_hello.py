"""The name of the server in the first message of a TLS client."""

from __future__ import annotations

__all__ = ["ServerNameReader"]

from struct import Struct, error
from typing import Final

_HANDSHAKE: Final = 22
"""Content type of records (:rfc:`8446`, section 5.1)."""
_CLIENT_HELLO: Final = 1
"""Type of handshake messages (:rfc:`8446`, section 4)."""
_SERVER_NAME: Final = 0
"""Type of extensions (:rfc:`6066`, section 1.1)."""
_HOST_NAME: Final = 0
"""Type of server names (:rfc:`6066`, section 3)."""

_RECORD_HEADER: Final = 5
_MAX_RECORD: Final = 16384
_MESSAGE_HEADER: Final = 4
_MAX_MESSAGE: Final = 64 * 1024
"""Maximum size of a ClientHello, in bytes. Real ones have up to 2 KiB; the limit bounds what a reader keeps."""

_U16: Final = Struct(">H")
_EXTENSION: Final = Struct(">HH")  # its type and its size


class ServerNameReader:
    """Reads the server name from a ClientHello, which may span several records and several chunks.

    The reader decides nothing: it finds no name in a malformed message, and the TLS library rejects the message.
    """

    __slots__ = ("_message", "_received", "name")

    def __init__(self) -> None:
        self._received = bytearray()  # the start of a record
        self._message = bytearray()
        self.name: str | None = None
        """The name as sent: international names are ASCII (A-labels, :rfc:`5890`). None if there is none."""

    def feed(self, chunk: bytes) -> bool:
        """Take the next received bytes. Return whether the reader is done."""
        received, message = self._received, self._message
        received += chunk
        while len(received) >= _RECORD_HEADER:
            size = int.from_bytes(received[3:_RECORD_HEADER])
            if received[0] != _HANDSHAKE or received[1] != 3 or not 0 < size <= _MAX_RECORD:
                return True
            end = _RECORD_HEADER + size
            if len(received) < end:
                break
            message += received[_RECORD_HEADER:end]
            del received[:end]
            if len(message) >= _MESSAGE_HEADER:
                size = int.from_bytes(message[1:_MESSAGE_HEADER])
                if message[0] != _CLIENT_HELLO or size > _MAX_MESSAGE:
                    return True
                if len(message) >= _MESSAGE_HEADER + size:
                    self.name = _find_server_name(bytes(message[_MESSAGE_HEADER : _MESSAGE_HEADER + size]))
                    return True
        return False


def _find_server_name(hello: bytes) -> str | None:
    """Return the host name in a ClientHello (:rfc:`8446`, section 4.1.2); None if there is none."""
    try:
        position = 2 + 32  # version and random number
        position += 1 + hello[position]  # session identifier
        position += 2 + _U16.unpack_from(hello, position)[0]  # cipher suites
        position += 1 + hello[position]  # compression methods
        position += 2  # size of the extensions
        while position < len(hello):
            kind, size = _EXTENSION.unpack_from(hello, position)
            position += 4
            if kind == _SERVER_NAME:
                return _first_host_name(hello[position : position + size])
            position += size
    except (IndexError, error):
        pass
    return None


def _first_host_name(names: bytes) -> str | None:
    """Return the first name of a ServerNameList (:rfc:`6066`, section 3). It may contain one name of each type."""
    kind, size = names[2], _U16.unpack_from(names, 3)[0]
    name = names[5 : 5 + size]
    return name.decode("ascii") if kind == _HOST_NAME and name.isascii() and len(name) == size > 0 else None
