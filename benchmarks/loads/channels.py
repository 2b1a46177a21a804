"""Connections of clients that never block, not even for the TLS handshake, and see how the server ends them."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Protocol

from benchmarks.loads.sockets import HOST

__all__ = ["Channel", "connect"]

_LARGEST_RECORD = 16384  # of TLS, in bytes: RFC 8446, section 5.1


class Channel(Protocol):
    """One connection. Its methods raise OSError when it has been reset."""

    @property
    def is_open(self) -> bool:
        """Whether it can send."""

    @property
    def has_partial_record(self) -> bool:
        """Whether a part of a TLS record has arrived."""

    def fileno(self) -> int: ...

    def begin(self) -> None:
        """Call it when the socket has become writable: it is connected now, or never will be."""

    def send(self, data: bytes) -> None:
        """Send *data*, which must be small enough for the buffer of the socket."""

    def receive(self, size: int) -> bytes:
        """Return what has arrived, from about *size* bytes of the socket. The end of the stream is empty.

        Raise BlockingIOError if there is nothing.
        """

    def close(self) -> None: ...


def connect(port: int, context: ssl.SSLContext | None, receive_buffer: int | None) -> Channel:
    """Start to connect to *port*."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect_ex((HOST, port))
    return _Plain(sock) if context is None else _Encrypted(sock, context)


class _Plain:
    __slots__ = ("_socket", "is_open")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.is_open = False

    @property
    def has_partial_record(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._socket.fileno()

    def begin(self) -> None:
        if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        self.is_open = True

    def send(self, data: bytes) -> None:
        assert self._socket.send(data) == len(data)

    def receive(self, size: int) -> bytes:
        return self._socket.recv(size)

    def close(self) -> None:
        self._socket.close()


class _Encrypted(_Plain):
    __slots__ = ("_incoming", "_outgoing", "_tls")

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing)

    @property
    def has_partial_record(self) -> bool:
        return self._incoming.pending > 0

    def begin(self) -> None:
        super().begin()
        self.is_open = self._is_shaken()

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def receive(self, size: int) -> bytes:
        received = super().receive(size)
        self._incoming.write(received)
        if not received:
            return b""
        if not self.is_open:
            self.is_open = self._is_shaken()
        data = self._decrypted() if self.is_open else b""
        self._flush()
        if not data:
            raise BlockingIOError
        return data

    def _is_shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def _decrypted(self) -> bytes:
        pieces = []
        try:
            while piece := self._tls.read(_LARGEST_RECORD):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._say_good_bye()
        return b"".join(pieces)

    def _say_good_bye(self) -> None:
        """Answer the server's close-notify. It closes the connection then, which is the end of the stream."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass

    def _flush(self) -> None:
        if data := self._outgoing.read():
            super().send(data)
