"""Connections of each kind. The peer is a plain socket, or speaks TLS without the library."""

from __future__ import annotations

__all__ = [
    "DATAGRAMS",
    "PLAIN_STREAMS",
    "STREAMS",
    "TRANSPORTS",
    "Links",
    "TLSPeerOfClients",
    "read_late",
    "read_late_and_close",
    "send_in_pieces",
]

import contextlib
import itertools
import pathlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background import sleep, spawn
from tests.support.certificates import the_certificates
from tests.support.datagram_servers import has_unix_datagrams
from tests.support.lines import line_protocol, text_protocol
from tests.support.peers import DatagramPeer, Peer
from tests.support.socket_calls import socket_calls
from tests.support.sockets import stream_pair
from tests.support.tls_connections import Hidden, TLSPeer

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.clients.async_udp import AsyncUDPNetworkClient
from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute

PLAIN_STREAMS = ("tcp", "unix")
STREAMS = (*PLAIN_STREAMS, "tls")
TRANSPORTS = (*STREAMS, "pulled tls")
"""The last is TLS over a transport that a user has written."""
DATAGRAMS = ("udp", "unix")


class TLSPeerOfClients(Peer):
    """A peer that speaks TLS, as the server. ``below`` gives access to TLS itself."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.below = TLSPeer(sock, the_certificates().server_context(), server_side=True)

    async def send(self, data: bytes) -> None:
        await self.below.send_plaintext(data)

    async def _receive(self) -> bytes:
        return await self.below.receive_plaintext()


class Links:
    """Makes connections of one kind.

    Parameters:
        kind: one of `TRANSPORTS` or `DATAGRAMS`.
        backend: the asynchronous backend.
        directory: an empty one, for Unix sockets.
    """

    def __init__(self, kind: str, backend: AsyncBackend, directory: pathlib.Path) -> None:
        self.backend = backend
        self.is_unix = kind == "unix"
        self.is_tls = kind.endswith("tls")
        self._is_pulled = kind.startswith("pulled")
        self._family = socket.AF_UNIX if self.is_unix else socket.AF_INET
        self._directory = directory
        self._numbers = itertools.count()

    # -------------------------------------------------------------------------------------------------------- streams

    def new_client(self, address: Any, **options: Any) -> Any:
        """Return a client of streams: of a socket, or of an address that it has yet to connect to."""
        if self.is_unix:
            return AsyncUnixStreamClient(address, line_protocol(), self.backend)
        if self.is_tls:
            options = {"ssl": the_certificates().client_context(), "server_hostname": "localhost", **options}
        return AsyncTCPNetworkClient(address, line_protocol(), self.backend, **options)

    async def new_peer(self, sock: socket.socket) -> Peer:
        """Return what talks over *sock*. With TLS, do the handshake."""
        if not self.is_tls:
            return Peer(sock)
        peer = TLSPeerOfClients(sock)
        await peer.below.handshake()
        return peer

    @contextlib.asynccontextmanager
    async def client(self, *, small_buffers: bool = False) -> AsyncIterator[tuple[Any, Peer]]:
        """Give a connected client and its peer. Close both at the end."""
        ours, theirs = stream_pair(self._family, small_buffers=small_buffers)
        peer = spawn(self.new_peer(theirs))
        client = self.new_client(ours)
        try:
            await client.wait_connected()
            yield client, await peer.result()
        finally:
            theirs.close()
            await client.aclose()

    @contextlib.asynccontextmanager
    async def transport(self, *, small_buffers: bool = False) -> AsyncIterator[tuple[AsyncStreamTransport, Peer]]:
        """Give a connected transport and its peer. Close both at the end."""
        ours, theirs = stream_pair(self._family, small_buffers=small_buffers)
        peer = spawn(self.new_peer(theirs))
        transport = await self.secured(await self.backend.wrap_stream_socket(ours))
        try:
            yield transport, await peer.result()
        finally:
            theirs.close()
            await transport.aclose()

    async def secured(self, transport: AsyncStreamTransport) -> AsyncStreamTransport:
        """Return *transport* itself, or TLS over it."""
        if not self.is_tls:
            return transport
        context = the_certificates().client_context()
        return await AsyncTLSStreamTransport.wrap(
            Hidden(transport) if self._is_pulled else transport, context, server_hostname="localhost"
        )

    async def open_transport(self, address: Any) -> AsyncStreamTransport:
        """Connect to *address*."""
        if self.is_unix:
            return await self.backend.create_unix_stream_connection(address)
        return await self.secured(await self.backend.create_tcp_connection(*address))

    @contextlib.asynccontextmanager
    async def echo_service(self) -> AsyncIterator[Any]:
        """Answer each line that a client sends with itself. Give the address."""
        with socket.socket(self._family) as listener:
            listener.bind(self.new_path() if self.is_unix else ("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
            accepting = spawn(self._accept(listener))
            try:
                yield listener.getsockname()
            finally:
                accepting.cancel()
                await accepting.wait()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            spawn(self._echo(await socket_calls().accept(listener)))

    async def _echo(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, EOFError):
            peer = await self.new_peer(sock)
            while True:
                await peer.send(await peer.line() + b"\n")

    # ------------------------------------------------------------------------------------------------------ datagrams

    def require_datagrams(self) -> None:
        if self.is_unix and not has_unix_datagrams(self.backend):
            pytest.skip("this backend has no Unix datagrams")

    def new_datagram_client(self, address: Any) -> Any:
        if self.is_unix:
            return AsyncUnixDatagramClient(address, text_protocol(), self.backend, local_path=self.new_path())
        return AsyncUDPNetworkClient(address, text_protocol(), self.backend)

    @contextlib.contextmanager
    def datagram_socket(self) -> Any:
        """Give a bound socket. Close it at the end."""
        with socket.socket(self._family, socket.SOCK_DGRAM) as sock:
            sock.bind(self.new_path() if self.is_unix else ("127.0.0.1", 0))
            yield sock

    async def open_datagram_transport(self, address: Any) -> AsyncDatagramTransport:
        """Connect to *address*."""
        if self.is_unix:
            return await self.backend.create_unix_datagram_endpoint(address, local_path=self.new_path())
        return await self.backend.create_udp_endpoint(*address)

    @contextlib.asynccontextmanager
    async def datagram_client(self) -> AsyncIterator[tuple[Any, DatagramPeer]]:
        """Give a connected client and its peer. Close both at the end."""
        with self.datagram_socket() as sock:
            async with self.new_datagram_client(sock.getsockname()) as client:
                sock.connect(client.socket.getsockname())
                yield client, DatagramPeer(sock)

    @contextlib.asynccontextmanager
    async def datagram_transport(self) -> AsyncIterator[tuple[AsyncDatagramTransport, DatagramPeer]]:
        """Give a connected transport and its peer. Close both at the end."""
        with self.datagram_socket() as sock:
            async with await self.open_datagram_transport(sock.getsockname()) as transport:
                sock.connect(transport.extra(SocketAttribute.sockname))
                yield transport, DatagramPeer(sock)

    def new_path(self) -> str:
        return str(self._directory / str(next(self._numbers)))


async def send_in_pieces(peer: Peer | DatagramPeer, *pieces: bytes) -> None:
    """Send one piece after the other, with pauses."""
    for piece in pieces:
        await sleep(0.002)
        if isinstance(peer, DatagramPeer):
            peer.send(piece)
        else:
            await peer.send(piece)


async def read_late(peer: Peer) -> bytes:
    """Return all up to the end of the stream or a reset. Begin when the other side has long filled all buffers."""
    await sleep(0.005)
    received = bytearray()
    with contextlib.suppress(OSError):
        while data := await peer._receive():
            received += data
    return bytes(received)


async def read_late_and_close(peer: Peer) -> bytes:
    with contextlib.closing(peer):
        return await read_late(peer)
