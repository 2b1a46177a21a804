"""Our end of a TLS connection, and a peer that a test controls."""

from __future__ import annotations

from tests.support.sockets import tcp_pair

__all__ = ["PATIENCE", "Hidden", "TLSPeer", "connected", "until_closed", "wrap"]

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.support.background import background_tasks, until
from tests.support.certificates import the_certificates
from tests.support.peers import PATIENCE, Peer

from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Hidden(AsyncStreamTransport):
    """A transport as a user may write it. It forwards to another one, and shows only what every transport has."""

    def __init__(self, transport: AsyncStreamTransport) -> None:
        self._transport = transport

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        return await self._transport.recv_into(buffer)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._transport.send_all(data)

    async def send_eof(self) -> None:
        await self._transport.send_eof()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    async def aclose(self) -> None:
        await self._transport.aclose()

    def backend(self) -> AsyncBackend:
        return self._transport.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._transport.extra_attributes


class TLSPeer(Peer):
    """The other end. It speaks TLS when the test says so; the socket below is open to the test."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(sock)
        self.engine = TLSEngine(context, **options)

    async def handshake(self, plaintext: bytes = b"") -> None:
        """Send *plaintext* together with the last message of the handshake."""
        data = b""
        while not self.engine.handshake(data):
            await self.flush()
            if not (data := await self._receive()):
                self.engine.feed_eof()
        self.engine.encrypt(plaintext)
        await self.flush()
        self._kept = self.engine.decrypt(b"")

    async def flush(self) -> None:
        await self.send(self.engine.take_outgoing())

    async def send_plaintext(self, data: bytes) -> None:
        self.engine.encrypt(data)
        await self.flush()

    async def receive_plaintext(self) -> bytes:
        """Return the next plaintext, ``b""`` after the closing alert."""
        while not self._kept and not self.engine.ended:
            if data := await self._receive():
                self._kept = self.engine.decrypt(data)
            else:
                self.engine.feed_eof()
        received, self._kept = self._kept, b""
        if not received and self.engine.failure is not None:
            raise self.engine.failure
        return received

    async def plaintext_rest(self) -> bytes:
        """Return all plaintext up to the closing alert."""
        received = bytearray()
        while data := await self.receive_plaintext():
            received += data
        return bytes(received)

    async def close_tls(self) -> None:
        """Send the closing alert, and leave the connection as it is."""
        self.engine.close()
        await self.flush()


async def wrap(sock: socket.socket, mode: str, context: ssl.SSLContext, **options: Any) -> AsyncTLSStreamTransport:
    """Do the handshake over *sock*, by callbacks or by pulling. As the client, unless the options say otherwise."""
    transport = await ensure_backend(None).wrap_stream_socket(sock)
    if not options.get("server_side"):
        options.setdefault("server_hostname", "localhost")
    return await AsyncTLSStreamTransport.wrap(Hidden(transport) if mode == "pulled" else transport, context, **options)


@contextlib.asynccontextmanager
async def connected(
    mode: str,
    version: str | None = None,
    *,
    client: ssl.SSLContext | None = None,
    server: ssl.SSLContext | None = None,
    server_side: bool = False,
    small_buffers: bool = False,
    **options: Any,
) -> AsyncIterator[tuple[AsyncTLSStreamTransport, TLSPeer]]:
    """Connect our end, the client or the server, to a peer. At the end, the socket of our end is closed.

    Parameters:
        mode: ``"delivering"`` or ``"pulled"``.
        version: a version of TLS.
        client: the context of the client.
        server: the context of the server.
        server_side: whether ours is the server.
        small_buffers: let the kernel take little of what our end sends.
        options: for `AsyncTLSStreamTransport.wrap`.
    """
    client = client or the_certificates().client_context(version)
    server = server or the_certificates().server_context(version)
    ours, theirs = tcp_pair(small_buffers=small_buffers)
    if server_side:
        peer = TLSPeer(theirs, client, server_side=False, server_hostname="localhost")
    else:
        peer = TLSPeer(theirs, server, server_side=True)
    with contextlib.closing(peer):
        with ensure_backend(None).timeout(PATIENCE):
            async with background_tasks(ensure_backend(None)) as background:
                handshake = background.spawn(peer.handshake())
                tls = await wrap(ours, mode, server if server_side else client, server_side=server_side, **options)
                await handshake.result()
            try:
                yield tls, peer
            finally:
                await aclose_forcefully(tls)
    await until_closed(ours)


async def until_closed(sock: socket.socket) -> None:
    """Wait until *sock*, which a transport owns, is closed."""
    with ensure_backend(None).timeout(PATIENCE):
        await until(lambda: sock.fileno() == -1)
