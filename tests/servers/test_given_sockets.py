"""Asynchronous servers on sockets that exist already: which they accept, that they serve them, and who closes them."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.kinds import Kind, Server
from tests.support.background import new_event, spawn
from tests.support.certificates import Certificates
from tests.support.descriptors import all_closed
from tests.support.network_servers import run_in_task
from tests.support.slow_backend import slow_backend

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import ServerClosedError, UnsupportedOperation
from easynetwork.lowlevel._sockets.calls import get_backlog
from easynetwork.lowlevel._sockets.listening import is_listening

EVERY_BACKEND = True


class Maker:
    """Makes sockets as a launcher does."""

    def __init__(self, kind: Kind, directory: Path) -> None:
        self._kind = kind
        self._directory = directory
        self.sockets: list[socket.socket] = []

    def new(self, *, listening: bool = False) -> socket.socket:
        """Return a bound socket of the kind of the server."""
        kind = self._kind
        sock = socket.socket(socket.AF_INET if kind.is_inet else socket.AF_UNIX, kind.socket_type)
        self.sockets.append(sock)
        sock.bind(("127.0.0.1", 0) if kind.is_inet else str(self._directory / f"given{len(self.sockets)}"))
        if listening and kind.is_stream:
            sock.listen(5)
        return sock

    def server(self, sockets: Any, **options: Any) -> Server:
        return self._kind.new_server(None, *neutral(self._kind), sockets=sockets, **options)


def neutral(kind: Kind) -> tuple[Any, ...]:
    return (None, 0) if kind.is_inet else ("",)


@pytest.fixture
def make(kind: Kind, tmp_path: Path) -> Iterator[Maker]:
    maker = Maker(kind, tmp_path)
    yield maker
    for sock in maker.sockets:
        sock.close()


# ------------------------------------------------------------------------------------------------------------ serving


@pytest.mark.parametrize("listening", [False, True], ids=["bound", "listening"])
async def test_bound_and_listening_sockets_are_served(kind: Kind, make: Maker, listening: bool) -> None:
    sock = make.new(listening=listening)
    name = sock.getsockname()
    server = make.server([sock])
    async with run_in_task(server):
        assert [view.getsockname() for view in server.get_sockets()] == [name]
        assert await kind.is_served(server)


async def test_two_sockets_are_served_at_once(kind: Kind, make: Maker) -> None:
    sockets = [make.new(), make.new(listening=True)]
    names = [sock.getsockname() for sock in sockets]
    server = make.server(tuple(sockets))
    async with run_in_task(server):
        assert [view.getsockname() for view in server.get_sockets()] == names
        for index in range(2):
            assert await kind.ask(kind.connect(server, index), "hello") == "hello"


async def test_addresses_are_those_of_the_sockets_while_they_are_open(kind: Kind, make: Maker) -> None:
    sockets = [make.new(), make.new()]
    names = [sock.getsockname() for sock in sockets]
    server = make.server(sockets)
    assert server.get_addresses() == ()
    async with server:
        shown = [tuple(address) if kind.is_inet else address.as_raw() for address in server.get_addresses()]
        assert shown == names
    assert server.get_addresses() == ()


async def test_what_has_waited_in_the_socket_is_served(kind: Kind, make: Maker) -> None:
    sock = make.new(listening=True)
    with socket.socket(sock.family, sock.type) as early:
        if not kind.is_inet and not kind.is_stream:
            early.bind(kind.path)
        early.connect(sock.getsockname())
        early.setblocking(False)
        kind.send(early, "early")
        async with run_in_task(make.server([sock])):
            assert await kind.receive(early) == "early"


async def test_a_blocking_socket_becomes_non_blocking_when_the_server_is_activated(kind: Kind, make: Maker) -> None:
    sock = make.new()
    server = make.server([sock])
    assert sock.getblocking()
    async with server:
        assert not sock.getblocking()


async def test_a_server_can_be_shut_down_and_serve_the_sockets_again(kind: Kind, make: Maker) -> None:
    server = make.server([make.new(listening=True)])
    async with server:
        for _ in range(2):
            is_up = new_event()
            task = spawn(server.serve_forever(is_up_event=is_up))
            await is_up.wait()
            assert await kind.is_served(server)
            await server.shutdown()
            await task.result()


async def test_draining_serves_those_who_wait_and_closes_the_sockets(kind: Kind, make: Maker) -> None:
    sock = make.new(listening=True)
    server = make.server([sock])
    is_up = new_event()
    task = spawn(server.serve_forever(is_up_event=is_up))
    await is_up.wait()
    client = kind.connect(server)
    kind.send(client, "hello")
    draining = spawn(server.drain(10))
    assert await kind.receive(client) == "hello"
    client.close()
    await draining.result()
    await task.result()
    assert sock.fileno() < 0


@pytest.mark.parametrize("kind", ["tcp"], indirect=True)
async def test_a_listening_socket_keeps_its_backlog(kind: Kind, make: Maker) -> None:
    listening, bound = make.new(listening=True), make.new()
    server = make.server([listening, bound], backlog=7)
    async with run_in_task(server):
        assert await kind.is_served(server)
        assert get_backlog(listening) in (5, None)
        assert get_backlog(bound) in (7, None)
        assert is_listening(bound)


@pytest.mark.parametrize("kind", ["tcp"], indirect=True)
async def test_tcp_options_are_those_of_every_server(kind: Kind, make: Maker) -> None:
    sock = make.new()
    async with make.server([sock]), kind.new_server() as usual:
        for option in ((socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)):
            assert sock.getsockopt(*option) == usual.get_sockets()[0].getsockopt(*option)


@pytest.mark.parametrize("kind", ["tcp", "udp"], indirect=True)
async def test_an_ipv6_socket_that_serves_ipv4_too_answers_both(kind: Kind, make: Maker) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this system has no such sockets")
    sock = socket.socket(socket.AF_INET6, kind.socket_type)
    make.sockets.append(sock)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    port = sock.getsockname()[1]
    async with run_in_task(make.server([sock])):
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, kind.socket_type) as client:
                client.connect((host, port))
                client.setblocking(False)
                assert await kind.ask(client, "hello") == "hello"


@pytest.mark.parametrize("kind", ["tcp"], indirect=True)
async def test_connections_of_a_given_socket_can_have_tls(kind: Kind, make: Maker, certificates: Certificates) -> None:
    sock = make.new()
    host, port = sock.getsockname()
    async with run_in_task(make.server([sock], ssl=certificates.server_context())):
        async with AsyncTCPNetworkClient(
            (host, port), kind.protocol, kind.backend, ssl=certificates.client_context(), server_hostname="localhost"
        ) as client:
            await client.send_packet("hello")
            assert await client.recv_packet() == "hello"


# ---------------------------------------------------------------------------------------------------------- ownership


async def test_closing_the_server_closes_the_sockets_activated_or_not(kind: Kind, make: Maker) -> None:
    for activate in (False, True):
        async with all_closed():
            sock = make.new(listening=True)
            server = make.server([sock])
            if activate:
                await server.server_activate()
            assert sock.fileno() >= 0
            await server.server_close()
            assert sock.fileno() < 0
        with pytest.raises(ServerClosedError):
            await server.server_activate()


async def test_no_descriptor_is_left_after_serving(kind: Kind, make: Maker) -> None:
    async with all_closed():
        server = make.server([make.new(), make.new(listening=True)])
        async with run_in_task(server):
            assert await kind.is_served(server)
        kind.hang_up()


async def test_the_sequence_of_the_caller_stays_as_it_is(kind: Kind, make: Maker) -> None:
    sockets = [make.new()]
    async with make.server(sockets):
        pass
    assert len(sockets) == 1


async def test_a_failed_activation_closes_the_sockets_for_ever(kind: Kind, make: Maker) -> None:
    sockets = [make.new(), make.new()]
    server = make.server(sockets)
    os.close(sockets[1].detach())
    with pytest.raises(OSError):
        await server.server_activate()
    assert [sock.fileno() for sock in sockets] == [-1, -1]
    for _ in range(2):
        with pytest.raises(ServerClosedError, match="could not be activated"):
            await server.server_activate()
    assert not server.is_listening()
    await server.server_close()


async def test_a_cancelled_entry_closes_the_sockets(kind: Kind, make: Maker) -> None:
    sock = make.new()
    server = make.server([sock])
    with kind.backend.open_cancel_scope() as scope:
        scope.cancel()
        async with server:
            await kind.backend.sleep(0)
    assert sock.fileno() < 0


@pytest.mark.parametrize("kind", ["unix-stream", "unix-datagram"], indirect=True)
async def test_the_file_of_a_given_socket_is_not_deleted(kind: Kind, make: Maker) -> None:
    sock = make.new(listening=True)
    path = sock.getsockname()
    inode = os.stat(path).st_ino
    async with run_in_task(make.server([sock])):
        pass
    assert os.stat(path).st_ino == inode


# ------------------------------------------------------------------------------------------------------------- refusal


def unbound(kind: Kind, make: Maker) -> socket.socket:
    sock = make.new()
    new = socket.socket(sock.family, sock.type)
    make.sockets.append(new)
    return new


def closed(kind: Kind, make: Maker) -> socket.socket:
    sock = make.new()
    sock.close()
    return sock


def connected(kind: Kind, make: Maker) -> socket.socket:
    sock, peer = make.new(), make.new(listening=True)
    sock.connect(peer.getsockname())
    return sock


def of_another_type(kind: Kind, make: Maker) -> socket.socket:
    type_ = socket.SOCK_DGRAM if kind.is_stream else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_INET if kind.is_inet else socket.AF_UNIX, type_)
    make.sockets.append(sock)
    sock.bind(("127.0.0.1", 0) if kind.is_inet else kind.path)
    return sock


def of_another_family(kind: Kind, make: Maker) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX if kind.is_inet else socket.AF_INET, kind.socket_type)
    make.sockets.append(sock)
    sock.bind(kind.path if kind.is_inet else ("127.0.0.1", 0))
    return sock


@pytest.mark.parametrize("wrong", [unbound, closed, connected, of_another_type, of_another_family])
async def test_sockets_that_cannot_be_served_are_refused_and_stay_as_they_are(
    kind: Kind, make: Maker, wrong: Callable[[Kind, Maker], socket.socket]
) -> None:
    good, bad = make.new(), wrong(kind, make)
    number = bad.fileno()
    with pytest.raises(ValueError):
        make.server([good, bad])
    assert good.fileno() >= 0
    assert good.getblocking()
    assert bad.fileno() == number


async def test_what_is_not_a_sequence_of_sockets_is_refused(kind: Kind, make: Maker) -> None:
    sock = make.new()
    for wrong in (sock, sock.fileno(), [sock.fileno()], [None], "sockets", iter([sock])):
        with pytest.raises(TypeError):
            make.server(wrong)
    with pytest.raises(ValueError, match="at least one"):
        make.server([])
    with pytest.raises(ValueError, match="twice"):
        make.server([sock, sock])
    assert sock.fileno() >= 0


async def test_an_address_or_options_of_binding_are_refused(kind: Kind, make: Maker) -> None:
    sock = make.new()
    addresses: tuple[tuple[Any, ...], ...]
    if kind.is_inet:
        addresses = ("", 0), ("127.0.0.1", 0), (None, 80), (["127.0.0.1"], 0)
        option: dict[str, Any] = {"reuse_port": True}
    else:
        addresses = (kind.path,), (b"\0abstract",)
        option = {"mode": 0o600}
    for address in addresses:
        with pytest.raises(ValueError, match="must be"):
            kind.new_server(None, *address, sockets=[sock])
    with pytest.raises(ValueError, match=next(iter(option))):
        make.server([sock], **option)
    assert sock.fileno() >= 0


@pytest.mark.parametrize("kind", ["tcp", "unix-stream"], indirect=True)
async def test_a_wrong_backlog_is_refused_before_the_server_owns_the_sockets(kind: Kind, make: Maker) -> None:
    sock = make.new()
    with pytest.raises(ValueError, match="backlog"):
        make.server([sock], backlog=0)
    assert sock.fileno() >= 0


async def test_the_caller_owns_the_sockets_if_another_argument_is_wrong(kind: Kind, make: Maker) -> None:
    sock = make.new()
    with pytest.raises(TypeError):
        make.server([sock], limits=12)
    assert sock.fileno() >= 0


@pytest.mark.parametrize("kind", ["tcp"], indirect=True)
async def test_a_tls_socket_is_refused(kind: Kind, make: Maker) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with contextlib.closing(context.wrap_socket(make.new(), server_hostname="localhost")) as sock:
        with pytest.raises(TypeError, match="TLS"):
            make.server([sock])


async def test_a_backend_that_opens_listeners_in_its_own_way_refuses(kind: Kind, make: Maker) -> None:
    backend, _ = slow_backend(kind.opener)
    sock = make.new()
    with pytest.raises(UnsupportedOperation, match="SlowBackend cannot serve sockets that exist already"):
        kind.server_class(*neutral(kind), kind.protocol, kind.new_service(), backend, sockets=[sock])
    assert sock.fileno() >= 0
