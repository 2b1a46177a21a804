"""An upgrade to TLS that fails closes the client."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.support.certificates import the_certificates
from tests.support.lines import line_protocol
from tests.support.sockets import PATIENCE, tcp_pair

from easynetwork.clients import TCPNetworkClient
from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

EVERY_BACKEND = True


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = tcp_pair()
    with theirs:
        theirs.settimeout(PATIENCE)
        yield ours, theirs


async def test_a_failed_upgrade_closes_the_client(
    backend: AsyncBackend, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _theirs = pair
    client: AsyncTCPNetworkClient[str, str] = AsyncTCPNetworkClient(ours, line_protocol(), backend)
    await client.wait_connected()
    with pytest.raises(TimeoutError):
        await client.start_tls(
            the_certificates().client_context(), server_hostname="localhost", ssl_handshake_timeout=0.01
        )
    assert client.is_closing()
    with pytest.raises(ClientClosedError):
        await client.send_packet("late")
    with pytest.raises(ClientClosedError):
        await client.recv_packet()
    await client.aclose()


def test_a_failed_upgrade_closes_the_blocking_client(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _theirs = pair
    client: TCPNetworkClient[str, str] = TCPNetworkClient(ours, line_protocol())
    with pytest.raises(TimeoutError):
        client.start_tls(the_certificates().client_context(), server_hostname="localhost", ssl_handshake_timeout=0.01)
    assert client.is_closed()
    with pytest.raises(ClientClosedError):
        client.send_packet("late")
    with pytest.raises(ClientClosedError):
        client.recv_packet()
    client.close()


async def test_an_upgrade_that_is_refused_closes_nothing(
    backend: AsyncBackend, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    async with AsyncTCPNetworkClient(ours, line_protocol(), backend) as client:
        await client.send_eof()
        with pytest.raises(RuntimeError):
            await client.start_tls(the_certificates().client_context(), server_hostname="localhost")
        assert not client.is_closing()
        theirs.send(b"still open\n")
        assert await client.recv_packet() == "still open"
