"""The sockets of the load: one kind for each transport, all with `send`, `recv_into`, `fileno` and `close`."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Protocol, cast

from benchmarks.certificates import client_context
from benchmarks.process import ProgramError

__all__ = ["BUFFER_SIZE", "HOST", "LoadSocket", "TLSSocket", "dial", "exchange"]

HOST = "127.0.0.1"
BUFFER_SIZE = 256 * 1024

_TIMEOUT = 10.0
_LARGEST_RECORD = 16384  # of TLS, in bytes: RFC 8446, section 5.1


class LoadSocket(Protocol):
    """A non-blocking socket. Its methods raise BlockingIOError if the socket is not ready."""

    def fileno(self) -> int: ...
    def send(self, data: bytes | memoryview, /) -> int: ...
    def recv_into(self, buffer: bytearray, /) -> int: ...
    def close(self) -> None: ...


class TLSSocket:
    """A TLS socket that encrypts in memory: it reads all records that have arrived with one system call."""

    __slots__ = ("_incoming", "_outgoing", "_read", "_socket", "_tls")

    def __init__(self, sock: socket.socket) -> None:
        """Do the handshake at once. *sock* must be blocking."""
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = client_context().wrap_bio(self._incoming, self._outgoing, server_hostname=HOST)
        # With a buffer, read() returns a number; the type stubs do not know this.
        self._read = cast("Callable[[int, memoryview], int]", self._tls.read)
        while not self._is_shaken():
            sock.sendall(self._outgoing.read())
            self._incoming.write(sock.recv(BUFFER_SIZE) or _closed())
        sock.sendall(self._outgoing.read())
        sock.setblocking(False)

    def _is_shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: bytes | memoryview, /) -> int:
        """Send all of *data*, waiting if necessary: the data in flight nearly fits into the socket buffers."""
        count = self._tls.write(data)
        unsent = memoryview(self._outgoing.read())
        while unsent := unsent[self._socket.send(unsent) :]:
            _wait(self, select.POLLOUT, _TIMEOUT)
        return count

    def recv_into(self, buffer: bytearray, /) -> int:
        received = self._socket.recv(len(buffer) - _LARGEST_RECORD)  # the decrypted data must fit into the buffer
        if not received:
            return 0
        self._incoming.write(received)
        count = 0
        view = memoryview(buffer)
        try:
            while self._incoming.pending or self._tls.pending():
                count += self._read(_LARGEST_RECORD, view[count:])
        except ssl.SSLWantReadError:
            pass
        if not count:  # part of a record, or a session ticket
            raise BlockingIOError
        return count

    def close(self) -> None:
        self._socket.close()


def _closed() -> bytes:
    raise ProgramError("the server closed the connection during the TLS handshake")


def dial(transport: str, address: str) -> LoadSocket:
    """Return a socket connected to a server's *address*: a port, or the path of a Unix socket."""
    if transport == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
    elif transport == "udp":
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.connect((HOST, int(address)))
    else:
        sock = socket.create_connection((HOST, int(address)), timeout=_TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if transport in ("tls", "starttls"):
        try:
            if transport == "starttls":
                sock.sendall(b"STARTTLS\n")
                sock.recv(BUFFER_SIZE)
            return TLSSocket(sock)
        except BaseException:
            sock.close()
            raise
    sock.setblocking(False)
    return sock


def exchange(sock: LoadSocket, data: bytes, expected: bytes | None = None, timeout: float = _TIMEOUT) -> None:
    """Send *data* of any size, and check that the answer is *expected* (None: the same bytes)."""
    expected = data if expected is None else expected
    unsent = memoryview(data)
    answer = bytearray()
    buffer = bytearray(BUFFER_SIZE)
    end = time.monotonic() + timeout
    while len(answer) < len(expected):
        ready = _wait(sock, select.POLLIN | select.POLLOUT if unsent else select.POLLIN, end - time.monotonic())
        if not ready:
            raise ProgramError(f"received {len(answer)} of {len(expected)} bytes of the answer in {timeout:g} s")
        if ready & select.POLLOUT:
            unsent = unsent[sock.send(unsent) :]
        if ready & ~select.POLLOUT:
            try:
                count = sock.recv_into(buffer)
            except BlockingIOError:
                continue
            if not count:
                raise ProgramError(f"the server closed the connection after {len(answer)} of {len(expected)} bytes")
            answer += buffer[:count]
    if answer != expected:
        raise ProgramError("the answer differs from the expected bytes")


def _wait(sock: LoadSocket, events: int, seconds: float) -> int:
    """Return the *events* that occurred, including errors, or 0 after the timeout."""
    poll = select.poll()  # select() does not support descriptors above 1023
    poll.register(sock, events)
    for _, ready in poll.poll(max(seconds, 0) * 1000):
        return ready
    return 0
