"""TCP: connecting, what is done to sockets before they are transports, and listening.

What every byte stream and every listener promises, tests/conformance checks on TCP too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.conformance.kit.outcomes import leaves
from tests.support.background import sleep
from tests.support.descriptors import open_descriptors
from tests.support.name_resolution import resolve_to, tcp_addresses
from tests.support.sockets import unused_address

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.transports._hooks import write_batch
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True


async def in_thread(func: Callable[..., Any], *args: Any) -> Any:
    return await ensure_backend(None).run_in_thread(func, *args)


@pytest.fixture
def no_server() -> int:
    """A port without a listener."""
    return unused_address()[1]


def address_of(thing: AsyncListener[Any]) -> tuple[str, int]:
    address: tuple[str, int] = thing.extra(SocketAttribute.sockname)
    return address


Pair = tuple[AsyncStreamTransport, socket.socket]


@pytest.fixture
@contextlib.asynccontextmanager
async def pair(backend: AsyncBackend) -> AsyncIterator[Pair]:
    """A transport, and the blocking socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport = await backend.create_tcp_connection(*server.getsockname())
        peer, _ = server.accept()
    peer.settimeout(5)
    with peer:
        yield transport, peer
        await aclose_forcefully(transport)


# --- connecting


async def test_a_refused_connection_is_a_group_of_oserrors(backend: AsyncBackend, no_server: int) -> None:
    with pytest.raises(ExceptionGroup) as info:
        await backend.create_tcp_connection("127.0.0.1", no_server)
    assert [type(exc) for exc in leaves(info.value)] == [ConnectionRefusedError]


async def test_each_address_that_fails_has_its_error(
    backend: AsyncBackend, no_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(backend, monkeypatch, tcp_addresses(no_server, "127.0.0.1", "127.0.0.2", "127.0.0.3"))
    with pytest.raises(ExceptionGroup) as info:
        await backend.create_tcp_connection("name.invalid", no_server)
    assert [type(exc) for exc in leaves(info.value)] == [ConnectionRefusedError] * 3


async def test_the_second_address_is_used_if_the_first_is_dead(
    backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        resolve_to(backend, monkeypatch, tcp_addresses(port, "127.0.0.1", "127.0.0.2"))
        async with await backend.create_tcp_connection("name.invalid", port) as transport:
            assert transport.extra(SocketAttribute.peername) == ("127.0.0.2", port)


async def test_an_address_that_does_not_answer_is_overtaken_by_the_next_one(
    backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel drops connections that a full backlog has no room for: they hang."""
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        port = silent.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        stack.enter_context(socket.create_server(("127.0.0.2", port)))
        resolve_to(backend, monkeypatch, tcp_addresses(port, "127.0.0.1", "127.0.0.2"))
        connecting = backend.create_tcp_connection("name.invalid", port, happy_eyeballs_delay=0.01)
        async with await connecting as transport:
            assert transport.extra(SocketAttribute.peername) == ("127.0.0.2", port)


async def test_an_unknown_host_is_a_bare_gaierror(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(socket.gaierror):
        await backend.create_tcp_connection("name.invalid", 12345)


async def test_a_host_without_addresses_is_an_oserror(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(backend, monkeypatch, [])
    with pytest.raises(OSError):
        await backend.create_tcp_connection("name.invalid", 12345)


async def test_a_numeric_host_needs_no_thread(
    backend: AsyncBackend, no_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_in_thread(*args: Any, **kwargs: Any) -> Any:
        pytest.fail("a thread was used")

    monkeypatch.setattr(type(backend), "run_in_thread", run_in_thread)
    with pytest.raises(ExceptionGroup):
        await backend.create_tcp_connection("127.0.0.1", no_server)


async def test_the_local_address_is_bound(backend: AsyncBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connecting = backend.create_tcp_connection(*server.getsockname(), local_address=("127.0.0.3", 0))
        async with await connecting as transport:
            assert transport.extra(SocketAttribute.sockname)[0] == "127.0.0.3"


async def test_a_local_address_that_cannot_be_bound_is_an_oserror_in_a_group(
    backend: AsyncBackend,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ExceptionGroup) as info:
            await backend.create_tcp_connection(*server.getsockname(), local_address=("192.0.2.1", 0))
    assert all(isinstance(exc, OSError) for exc in leaves(info.value))


async def test_a_local_address_of_another_family_is_an_oserror_in_a_group(backend: AsyncBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ExceptionGroup) as info:
            await backend.create_tcp_connection(*server.getsockname(), local_address=("::1", 0))
    assert all(isinstance(exc, OSError) for exc in leaves(info.value))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
async def test_a_cancelled_connection_attempt_leaves_no_socket_open(backend: AsyncBackend) -> None:
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        before = open_descriptors()
        with backend.move_on_after(0.01) as scope:
            await backend.create_tcp_connection(*silent.getsockname())
        assert scope.cancelled_caught()
        await sleep(0.01)
        assert open_descriptors() == before


# --- wrapping sockets


async def test_a_datagram_socket_is_refused_and_closed(backend: AsyncBackend) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError):
            await backend.wrap_stream_socket(sock)
        assert sock.fileno() == -1


async def test_a_tls_socket_is_refused_and_closed(backend: AsyncBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        context = ssl.create_default_context()
        plain = socket.create_connection(server.getsockname())
        with context.wrap_socket(plain, do_handshake_on_connect=False, server_hostname="x") as sock:
            with pytest.raises(TypeError):
                await backend.wrap_stream_socket(sock)
            assert sock.fileno() == -1


async def test_a_socket_that_is_not_connected_does_not_stay_open(backend: AsyncBackend) -> None:
    with socket.socket() as sock:
        with pytest.raises(OSError):
            transport = await backend.wrap_stream_socket(sock)
            try:
                await transport.send_all(b"x")
                await transport.recv(1)
            finally:
                await aclose_forcefully(transport)
        await sleep(0.001)


# --- sending


@pytest.fixture
def no_time_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in ("_asyncio", "_trio"):
        monkeypatch.setattr(f"easynetwork.lowlevel.api_async.backend.{backend}.stream.transport.CLOSE_TIMEOUT", 0.05)


async def test_what_is_sent_at_once_is_not_left_to_the_deadline_of_a_close(
    no_time_to_close: None, backend: AsyncBackend, pair: Pair
) -> None:
    """However much that is."""
    transport, peer = pair
    data = bytes(1 << 24)

    async def send() -> None:
        await transport.send_all(data)
        await transport.aclose()

    async with backend.create_task_group() as group:
        sending = await group.start(send)
        await sleep(0.2)
        received = 0
        while piece := await in_thread(peer.recv, 1 << 20):
            received += len(piece)
        assert received == len(data)
        await sending.join()


async def test_send_eof_by_another_task_lets_a_sender_finish(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    async with backend.create_task_group() as group:
        sending = await group.start(transport.send_all, bytes(1 << 24))
        await sleep(0.01)
        assert not sending.done()
        await transport.send_eof()
        received = 0
        while piece := await in_thread(peer.recv, 1 << 20):
            received += len(piece)
        assert received == 1 << 24
        await sending.join()


# --- closing


async def fill(backend: AsyncBackend, transport: AsyncStreamTransport) -> None:
    with backend.move_on_after(0.05):
        while True:
            await transport.send_all(b"x" * 65536)
    while write_batch(transport).write_nowait(b"x" * 1000):
        pass


async def test_a_cancelled_close_closes_at_once(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    await fill(backend, transport)
    with backend.move_on_after(0.01) as scope:
        await transport.aclose()
    assert scope.cancelled_caught()
    await transport.aclose()
    with pytest.raises(OSError):
        while peer.recv(1 << 20):
            pass
        raise ConnectionResetError("an orderly end, with bytes lost")


# --- listeners


async def test_port_zero_gives_free_ports(backend: AsyncBackend) -> None:
    listeners = await backend.create_tcp_listeners(["127.0.0.1", "127.0.0.2", "127.0.0.1"], 0, 1)
    try:
        assert sorted(address_of(item)[0] for item in listeners) == ["127.0.0.1", "127.0.0.2"]
        assert all(address_of(item)[1] > 0 for item in listeners)
    finally:
        for item in listeners:
            await item.aclose()


@pytest.mark.parametrize("host", [None, "", [""]])
async def test_no_host_means_all_interfaces(backend: AsyncBackend, host: Any) -> None:
    listeners = await backend.create_tcp_listeners(host, 0, 1)
    try:
        assert {address_of(item)[0] for item in listeners} <= {"0.0.0.0", "::"}
        assert "0.0.0.0" in {address_of(item)[0] for item in listeners}
    finally:
        for item in listeners:
            await item.aclose()


@pytest.mark.parametrize("host", [[None], ["127.0.0.1", 3], 42, [b"127.0.0.1"]])
async def test_bad_hosts_are_refused(backend: AsyncBackend, host: Any) -> None:
    with pytest.raises(TypeError):
        await backend.create_tcp_listeners(host, 0, 1)


@pytest.mark.parametrize("backlog", [0, -1])
async def test_a_bad_backlog_is_refused(backend: AsyncBackend, backlog: int) -> None:
    with pytest.raises(ValueError, match="backlog"):
        await backend.create_tcp_listeners("127.0.0.1", 0, backlog)


def taken_only_at(host: str) -> socket.socket:
    """Return a socket that listens at a port which is free at 127.0.0.1."""
    while True:
        taken = socket.create_server((host, 0))
        try:
            socket.create_server(("127.0.0.1", taken.getsockname()[1])).close()
        except OSError:
            taken.close()
        else:
            return taken


async def test_all_sockets_are_closed_if_one_cannot_be_bound(backend: AsyncBackend) -> None:
    with taken_only_at("127.0.0.2") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ExceptionGroup) as info:
            await backend.create_tcp_listeners(["127.0.0.1", "127.0.0.2"], port, 1)
        [error] = leaves(info.value)
        assert isinstance(error, OSError)
        assert error.errno == errno.EADDRINUSE
        assert "127.0.0.2" in str(error)
        socket.create_server(("127.0.0.1", port)).close()


async def test_an_unknown_host_of_a_listener_is_in_a_group(
    backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(type(backend), "getaddrinfo", getaddrinfo)
    with pytest.raises(ExceptionGroup) as info:
        await backend.create_tcp_listeners("name.invalid", 0, 1)
    assert [type(exc) for exc in leaves(info.value)] == [socket.gaierror]


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="needs SO_REUSEPORT")
async def test_a_port_can_be_shared(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    [first] = await backend.create_tcp_listeners("127.0.0.1", 0, 1, reuse_port=True)
    async with first:
        [second] = await backend.create_tcp_listeners(*address_of(first), 1, reuse_port=True)
        await second.aclose()
        with pytest.raises(ExceptionGroup):
            await backend.create_tcp_listeners(*address_of(first), 1)
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(ValueError, match="reuse_port"):
        await backend.create_tcp_listeners("127.0.0.1", 0, 1, reuse_port=True)
