"""A connection that was upgraded to TLS ends as TLS demands, by either of the two drivers."""

from __future__ import annotations

from tests.support.certificates import the_certificates
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.tls_connections import TLSPeer

EVERY_BACKEND = True


async def test_connection_ends_with_a_closing_alert(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        await client.start_tls(the_certificates().server_context())
        await client.send_packet((yield None))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        secure = TLSPeer(peer.sock, the_certificates().client_context(), server_side=False, server_hostname="localhost")
        await secure.handshake()
        await secure.send_plaintext(b"hello\n")
        assert await secure.plaintext_rest() == b"hello\n"
        await secure.close_tls()
