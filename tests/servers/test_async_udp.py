"""Arguments, sockets and clients of the UDP server."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest
from tests.support.datagram_servers import (
    Client,
    Handler,
    Recorder,
    Requests,
    has_ipv6,
    serving,
)
from tests.support.descriptors import Gift
from tests.support.lines import text_protocol

from easynetwork.exceptions import TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.socket import IPv4SocketAddress, IPv6SocketAddress, SocketAttribute, SocketProxy
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import INETClientAttribute

EVERY_BACKEND = True

IPV6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on the loopback interface")

Server = AsyncUDPNetworkServer[str, str]


def new_server(backend: Any, host: Any = "127.0.0.1", port: int = 0, **options: Any) -> Server:
    return AsyncUDPNetworkServer(host, port, text_protocol(), Handler(), backend, **options)


# --------------------------------------------------------------------------------------------------------- arguments


def test_what_is_for_other_servers_is_refused() -> None:
    options: list[dict[str, Any]] = [
        {name: None} for name in ("ssl", "backlog", "max_recv_size", "mode", "log_client_connection")
    ]
    for option in options:
        with pytest.raises(TypeError):
            new_server("asyncio", **option)


# ----------------------------------------------------------------------------------------------------------- sockets


async def test_answers_come_from_the_socket_that_was_asked(backend: AsyncBackend) -> None:
    hosts = ["127.0.0.1", "127.0.0.2", *(["::1"] if has_ipv6() else [])]
    async with serving(backend, Handler(), hosts) as it:
        assert [address.host for address in it.server.get_addresses()] == hosts
        for index, address in enumerate(it.server.get_addresses()):
            family = it.server.get_sockets()[index].family
            with socket.socket(family, socket.SOCK_DGRAM) as sock:  # not connected: it hears all peers
                sock.bind((address.host, 0))
                sock.settimeout(10)
                sock.sendto(b"hello", tuple(address))
                assert await backend.run_in_thread(sock.recvfrom, 100) == (b"hello", tuple(address))


async def test_one_sender_is_another_client_for_each_socket(backend: AsyncBackend) -> None:
    """They have the same address, are handled at the same time, and each is answered by its own socket."""

    class Meeting(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            self.clients.append(client)
            yield None
            if len(self.clients) == 2:
                both.set()
            await both.wait()
            await client.send_packet(str(client.extra(INETClientAttribute.local_address).port))

    both = backend.create_event()
    handler = Meeting()
    async with serving(backend, handler, ["127.0.0.1", "127.0.0.2"]) as it:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(10)
            for address in it.server.get_addresses():
                sock.sendto(b"hello", tuple(address))
            answers = {await backend.run_in_thread(sock.recvfrom, 100) for _ in range(2)}
            assert answers == {(str(address.port).encode(), tuple(address)) for address in it.server.get_addresses()}
        first, second = handler.clients
        assert first.extra(INETClientAttribute.remote_address) == second.extra(INETClientAttribute.remote_address)
        assert first != second


# ----------------------------------------------------------------------------------------------------------- clients


async def test_client_has_the_addresses_of_both_ends(backend: AsyncBackend) -> None:
    handler = Recorder()
    async with serving(backend, handler) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        local, remote = (
            client.extra(INETClientAttribute.local_address),
            client.extra(INETClientAttribute.remote_address),
        )
        assert isinstance(local, IPv4SocketAddress)
        assert isinstance(remote, IPv4SocketAddress)
        assert (local,) == it.server.get_addresses()
        assert tuple(remote) == peer.address
        assert client.extra(SocketAttribute.family) == socket.AF_INET
        sock = client.extra(INETClientAttribute.socket)
        assert isinstance(sock, SocketProxy)
        assert sock.getsockname() == tuple(local)
        assert str(remote) in repr(client)
        await it.server.server_close()
        assert client.extra(INETClientAttribute.remote_address) == remote
        with pytest.raises(TypedAttributeLookupError):
            client.extra(INETClientAttribute.local_address)


@IPV6
async def test_client_over_ipv6_has_addresses_of_that_kind(
    backend: AsyncBackend, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Recorder()
    async with serving(backend, handler, "::1") as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        local, remote = (
            client.extra(INETClientAttribute.local_address),
            client.extra(INETClientAttribute.remote_address),
        )
        assert isinstance(local, IPv6SocketAddress)
        assert isinstance(remote, IPv6SocketAddress)
        assert (local,) == it.server.get_addresses()
        assert tuple(remote) == peer.address
        assert client.extra(SocketAttribute.family) == socket.AF_INET6
        peer.send(b"\xff")
        assert await peer.ask(b"b") == b"b"
        assert any(str(remote) in record.getMessage() for record in caplog.records)


async def test_no_ancillary_data_goes_to_a_client(backend: AsyncBackend) -> None:
    handler = Recorder()
    async with serving(backend, handler) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        with Gift() as gift, pytest.raises(UnsupportedOperation):
            await client.send_packet_with_ancillary("b", gift.raw)
        assert not peer.has_received()


async def test_a_client_that_has_gone_disturbs_nobody(backend: AsyncBackend, caplog: pytest.LogCaptureFixture) -> None:
    """The system may report that it refuses datagrams."""
    handler = Recorder()
    async with serving(backend, handler, "localhost") as it:
        peer, other = it.peer(), it.peer()
        assert await peer.ask(b"a") == b"a"
        peer.sock.close()
        for _ in range(3):
            await handler.clients[0].send_packet("anybody?")
        assert await other.ask(b"b") == b"b"
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []
