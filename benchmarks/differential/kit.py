"""Helpers for the programs: drivers for generators, raw peers, servers that run for the length of a block."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.differential.transcript import Transcript
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import StringLineSerializer

__all__ = [
    "PATIENCE",
    "Peer",
    "buffered_lines",
    "client_context",
    "datagrams",
    "drive",
    "drive_buffered",
    "folder",
    "lines",
    "refuse_port",
    "reset",
    "server_context",
    "serving",
    "tcp_pair",
    "thread",
    "until",
]

PATIENCE = 5.0  # seconds that a program waits for something expected


def lines(**options: Any) -> StreamProtocol[str, str]:
    """Return a protocol of lines."""
    return StreamProtocol(StringLineSerializer(**options))


def buffered_lines(**options: Any) -> BufferedStreamProtocol[str, str, Any]:
    """Return a protocol of lines that are parsed in place."""
    return BufferedStreamProtocol(StringLineSerializer(**options))


def datagrams(**options: Any) -> DatagramProtocol[str, str]:
    """Return a protocol with a line in each datagram."""
    return DatagramProtocol(StringLineSerializer(**options))


def drive(t: Transcript, label: str, new_generator: Callable[[], Any], *chunks: bytes) -> None:
    """Feed an incremental parser. After each packet or error, start a new one with the rest, as endpoints do."""
    rest = b""
    waiting: Any = None
    for chunk in chunks:
        data = rest + chunk
        rest = b""
        for _ in range(50):
            if not data:
                break
            try:
                if waiting is None:
                    waiting = new_generator()
                    next(waiting)
                waiting.send(data)
                t.say(label, "needs more")
                data = b""
            except StopIteration as end:
                packet, remaining = end.value
                t.say(label, (packet, bytes(remaining)))
                data, waiting = bytes(remaining), None
            except Exception as error:
                t.failed(label, error)
                data, waiting = bytes(getattr(error, "remaining_data", b"")), None
        rest = data
    if waiting is not None:
        waiting.close()


def drive_buffered(t: Transcript, label: str, parser: Any, *chunks: bytes, sizehint: int = 1024) -> None:
    """Feed a parser that works in a buffer: `create_deserializer_buffer` and `buffered_incremental_deserialize`."""
    create = getattr(parser, "create_deserializer_buffer", None) or parser.create_buffer
    parse = getattr(parser, "buffered_incremental_deserialize", None) or parser.build_packet_from_buffer
    waiting: Any = None
    position: int | None = None
    view = memoryview(b"")
    pending = b""
    for chunk in chunks:
        pending += chunk
        for _ in range(100):
            if not pending:
                break
            try:
                if waiting is None:
                    buffer = create(sizehint)
                    view = memoryview(buffer).cast("B")
                    waiting = parse(buffer)
                    position = next(waiting)
                start = position or 0
                if start < 0:
                    start += len(view)
                count = min(len(view) - start, len(pending))
                if count <= 0:
                    t.say(label, "the buffer is full")
                    return
                view[start : start + count] = pending[:count]
                pending = pending[count:]
                position = waiting.send(count)
                if not pending:
                    t.say(label, "needs more")
            except StopIteration as end:
                packet, remaining = end.value
                t.say(label, (packet, bytes(remaining)))
                pending, waiting = bytes(remaining) + pending, None
            except Exception as error:
                t.failed(label, error)
                pending, waiting = bytes(getattr(error, "remaining_data", b"")) + pending, None
    if waiting is not None:
        waiting.close()


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder for Unix sockets, and remove it after the block."""
    path = Path(tempfile.mkdtemp(prefix="differential-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def refuse_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[int]:
    """Yield a port of 127.0.0.1 that no server listens on during the block."""
    with socket.socket(socket.AF_INET, kind) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected TCP sockets; each waits PATIENCE seconds at most."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.settimeout(PATIENCE)
    far.settimeout(PATIENCE)
    return near, far


def reset(peer: socket.socket) -> None:
    """Close a TCP socket so that the other side is reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@contextmanager
def thread(function: Callable[..., object], *args: object) -> Iterator[threading.Thread]:
    """Run *function* in a thread for the length of the block, and wait for its end."""
    worker = threading.Thread(target=function, args=args, daemon=True)
    worker.start()
    try:
        yield worker
    finally:
        worker.join(PATIENCE)


class Peer:
    """A blocking socket used from any event loop: each call runs in a thread."""

    def __init__(self, backend: Any, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self.backend = backend
        self.socket = sock

    @classmethod
    async def connect(cls, backend: Any, address: Any, family: int = socket.AF_INET) -> Peer:
        """Connect to a stream server."""
        sock = socket.socket(family, socket.SOCK_STREAM)
        # Set no timeout: with one, connect() raises the error of a reset that follows right after the connection.
        await backend.run_in_thread(sock.connect, address)
        return cls(backend, sock)

    async def send(self, data: bytes) -> None:
        """Send everything."""
        await self.backend.run_in_thread(self.socket.sendall, data)

    async def receive(self, size: int = 65536) -> bytes:
        """Return the bytes of the next read, or no bytes at the end of the stream."""
        data: bytes = await self.backend.run_in_thread(self.socket.recv, size)
        return data

    async def line(self) -> bytes:
        """Return the next line, or the bytes before the end of the stream."""
        received = b""
        while not received.endswith(b"\n") and (data := await self.receive(1)):
            received += data
        return received

    async def end(self) -> str:
        """Return how the stream ends. Drop the bytes before the end."""
        try:
            while await self.receive():
                pass
        except OSError as error:
            return type(error).__name__
        return "EOF"

    def half_close(self) -> None:
        """Shut down the sending direction."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection."""
        reset(self.socket)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


@asynccontextmanager
async def serving(server: Any, *, close: bool = True) -> AsyncIterator[Any]:
    """Serve for the length of the block, and shut down and close the server afterwards."""
    backend = server.backend()
    async with backend.create_task_group() as group:
        up = backend.create_event()
        await group.start(partial(server.serve_forever, is_up_event=up))
        with backend.timeout(PATIENCE):
            await up.wait()
        try:
            yield server
        finally:
            await server.shutdown()
    if close:
        await server.server_close()


async def until(backend: Any, condition: Callable[[], object]) -> bool:
    """Wait for a condition; return whether it came true in PATIENCE seconds."""
    deadline = backend.current_time() + PATIENCE
    while not condition():
        if backend.current_time() > deadline:
            return False
        await backend.sleep(0.005)
    return True


_contexts_lock = threading.Lock()


@cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    import trustme

    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    if hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF"):
        client.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    authority.configure_trust(client)
    return server, client


def server_context() -> ssl.SSLContext:
    """Return the TLS context of a server that has a certificate for 127.0.0.1 and localhost."""
    with _contexts_lock:
        return _contexts()[0]


def client_context() -> ssl.SSLContext:
    """Return the TLS context of a client that trusts `server_context()`."""
    with _contexts_lock:
        return _contexts()[1]
