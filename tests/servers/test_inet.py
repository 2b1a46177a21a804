"""The addresses of TCP and UDP servers: hosts, ports, and what their sockets tell."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.servers.kinds import Kind

from easynetwork.lowlevel.socket import IPv4SocketAddress, SocketProxy

EVERY_BACKEND = True

pytestmark = pytest.mark.parametrize("kind", ["tcp", "udp"], indirect=True)


@pytest.mark.parametrize(
    ("host", "error"), [(12, TypeError), (["127.0.0.1", 12], TypeError), ([None], TypeError), ([], OSError)]
)
async def test_bad_hosts_are_refused_at_activation(kind: Kind, host: Any, error: type[Exception]) -> None:
    server = kind.new_server(None, host, 0)
    with pytest.raises(error):
        await server.server_activate()
    assert not server.is_listening()


@pytest.mark.parametrize("host", [None, ""])
async def test_no_host_means_all_interfaces_with_a_socket_for_each_family(kind: Kind, host: Any) -> None:
    async with kind.new_server(None, host, 0) as server:
        addresses = server.get_addresses()
        families = {sock.family for sock in server.get_sockets()}
        assert socket.AF_INET in families
        assert len(families) == len(addresses)
        assert {address.host for address in addresses} <= {"0.0.0.0", "::"}
        assert all(address.port > 0 for address in addresses)


async def test_reuse_port_lets_another_server_have_the_same_port(kind: Kind) -> None:
    async with kind.new_server(reuse_port=True) as first:
        [address] = first.get_addresses()
        async with kind.new_server(None, "127.0.0.1", address.port, reuse_port=True) as second:
            assert second.get_addresses() == first.get_addresses()
        with pytest.raises(ExceptionGroup) as caught:
            await kind.new_server(None, "127.0.0.1", address.port).server_activate()
        assert caught.value.subgroup(OSError) is not None


async def test_reuse_port_is_refused_where_the_system_does_not_have_it(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    server = kind.new_server(reuse_port=True)
    with pytest.raises(ValueError):
        await server.server_activate()
    assert not server.is_listening()


async def test_sockets_are_views_and_tell_the_addresses(kind: Kind) -> None:
    async with kind.new_server() as server:
        [sock] = server.get_sockets()
        [address] = server.get_addresses()
        assert isinstance(sock, SocketProxy)
        assert isinstance(address, IPv4SocketAddress)
        assert sock.type == kind.socket_type
        assert sock.getsockname() == tuple(address)
