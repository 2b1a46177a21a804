"""Servers and clients where this host has other addresses than usual."""

from __future__ import annotations

import pytest
from tests.support.network_namespaces import run_in_namespace

BACKENDS = ("asyncio", "uvloop", "trio")

PROGRAM = """
import asyncio, contextlib, importlib, sys
from easynetwork.clients import (
    AsyncTCPNetworkClient, AsyncUDPNetworkClient, TCPNetworkClient, UDPNetworkClient
)
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer
from easynetwork.servers.handlers import (
    AsyncDatagramRequestHandler, AsyncStreamRequestHandler, INETClientAttribute
)

loop = sys.argv[1]
stream, datagrams = StreamProtocol(StringLineSerializer()), DatagramProtocol(StringLineSerializer())

class Echo(AsyncStreamRequestHandler, AsyncDatagramRequestHandler):
    async def handle(self, client):
        request = yield
        await client.send_packet(f"{request} {client.extra(INETClientAttribute.remote_address)}")

@contextlib.asynccontextmanager
async def serving(backend, server_type, host, protocol):
    async with server_type(host, 0, protocol, Echo(), backend) as server, backend.create_task_group() as group:
        up = backend.create_event()
        async def serve():
            await server.serve_forever(is_up_event=up)
        group.start_soon(serve)
        await up.wait()
        yield server
        await server.shutdown()

async def exchange(client):
    async with client:
        await client.send_packet("hello")
        text, _, address = (await client.recv_packet()).partition(" ")
        assert text == "hello", text
        assert address == str(client.get_local_address()), (address, client.get_local_address())
        return client.get_remote_address()

def exchange_blocking(client):
    with client:
        client.send_packet("hello")
        text, _, address = client.recv_packet(timeout=20).partition(" ")
        assert text == "hello", text
        assert address == str(client.get_local_address()), (address, client.get_local_address())

def run(main):
    options = {}
    if loop != "trio":
        options["loop_factory"] = importlib.import_module(loop).new_event_loop
    backend = new_builtin_backend("trio" if loop == "trio" else "asyncio")
    backend.bootstrap(main, backend, runner_options=options)
"""

LOCALHOST_IS_BOTH = """
hosts=$(mktemp); printf '::1 localhost\\n127.0.0.1 localhost\\n' > "$hosts"
mount --bind "$hosts" /etc/hosts; rm "$hosts"
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_localhost_works_where_ipv6_is_off(backend: str) -> None:
    if backend != "asyncio":
        pytest.importorskip(backend)
    program = """
async def main(backend):
    for host in ("localhost", None, ""):
        async with serving(backend, AsyncTCPNetworkServer, host, stream) as server:
            port = next(address.port for address in server.get_addresses() if "." in address.host)
            for options in ({}, {"local_address": ("localhost", 0)}):
                address = await exchange(AsyncTCPNetworkClient(("localhost", port), stream, **options))
                await backend.run_in_thread(
                    lambda: exchange_blocking(TCPNetworkClient(("localhost", port), stream, **options))
                )
        async with serving(backend, AsyncUDPNetworkServer, host, datagrams) as server:
            port = next(address.port for address in server.get_addresses() if "." in address.host)
            for options in ({}, {"local_address": ("localhost", 0)}):
                await exchange(AsyncUDPNetworkClient(("localhost", port), datagrams, **options))
                await backend.run_in_thread(
                    lambda: exchange_blocking(UDPNetworkClient(("localhost", port), datagrams, **options))
                )
    for server_type, protocol in (AsyncTCPNetworkServer, stream), (AsyncUDPNetworkServer, datagrams):
        try:
            async with serving(backend, server_type, ["localhost", "::1"], protocol):
                print("serves at ::1")
        except* OSError as group:
            print([exc.errno for exc in group.exceptions])

import socket
assert len(socket.getaddrinfo("localhost", 0, 0, socket.SOCK_STREAM)) == 2
run(main)
"""
    setup = LOCALHOST_IS_BOTH + "sysctl -q net.ipv6.conf.all.disable_ipv6=1"
    assert run_in_namespace(setup, PROGRAM + program, backend) == "[99]\n[99]\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_link_local_addresses_keep_their_scope(backend: str) -> None:
    if backend != "asyncio":
        pytest.importorskip(backend)
    program = """
HOST = "fe80::1%lo"

async def main(backend):
    async with serving(backend, AsyncTCPNetworkServer, HOST, stream) as server:
        [address] = server.get_addresses()
        assert str(address) == f"('fe80::1%1', {address.port})", str(address)
        for options in ({}, {"local_address": (HOST, 0)}):
            remote = await exchange(AsyncTCPNetworkClient((HOST, address.port), stream, **options))
            assert remote == address
            await exchange(AsyncTCPNetworkClient(remote.for_connection(), stream, **options))
            await backend.run_in_thread(
                lambda: exchange_blocking(TCPNetworkClient((HOST, address.port), stream, **options))
            )
    async with serving(backend, AsyncUDPNetworkServer, HOST, datagrams) as server:
        [address] = server.get_addresses()
        for options in ({}, {"local_address": (HOST, 0)}):
            remote = await exchange(AsyncUDPNetworkClient((HOST, address.port), datagrams, **options))
            assert remote == address
            await backend.run_in_thread(
                lambda: exchange_blocking(UDPNetworkClient((HOST, address.port), datagrams, **options))
            )
        [listener] = await backend.create_udp_listeners(HOST, 0)
        async with serving(backend, AsyncUDPNetworkServer, HOST, datagrams) as server:
            [address] = server.get_addresses()
            for destination in ((HOST, address.port), (HOST, address.port, 0, 0), tuple(address)):
                await listener.send_to(b"hello", destination)
                answers = []
                async def receive(data, sender):
                    answers.append((data, sender))
                    scope.cancel()
                with backend.move_on_after(20) as scope:
                    await listener.serve(receive)
                assert answers[0][1] == address, answers
        await listener.aclose()

run(main)
"""
    # Without duplicate address detection, during which the address cannot be used yet.
    run_in_namespace("ip addr add fe80::1/64 dev lo nodad", PROGRAM + program, backend)
