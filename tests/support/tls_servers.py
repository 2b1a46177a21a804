"""Clients of a TLS server that do not use those of the library."""

from __future__ import annotations

__all__ = ["TLSClient", "connect"]

import socket
import ssl

from tests.support.certificates import the_certificates
from tests.support.peers import Peer
from tests.support.stream_servers import Serving
from tests.support.tls_connections import TLSPeer


class TLSClient(Peer):
    """Sends and receives plaintext. ``below`` gives access to TLS itself."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self.below = TLSPeer(sock, context, server_side=False, server_hostname="localhost")

    async def send(self, data: bytes) -> None:
        await self.below.send_plaintext(data)

    async def _receive(self) -> bytes:
        return await self.below.receive_plaintext()

    async def leave(self) -> None:
        """Close TLS, and wait until the server has done so."""
        await self.below.close_tls()
        assert await self.rest() == b""
        self.close()

    async def gone(self) -> bool:
        """Wait until the server has closed, with or without an alert."""
        try:
            await self.rest()
        except OSError:
            pass
        return True


async def connect(
    it: Serving, context: ssl.SSLContext | None = None, *, receive_buffer: int | None = None
) -> TLSClient:
    """Connect to the server, and do the handshake."""
    peer = await it.connect(receive_buffer=receive_buffer)  # which the server's context closes
    client = TLSClient(peer.sock, context or the_certificates().client_context())
    await client.below.handshake()
    return client
