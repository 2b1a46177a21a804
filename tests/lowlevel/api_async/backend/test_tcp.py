from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.support.descriptors import open_descriptors
from tests.support.name_resolution import resolve_to, tcp_addresses
from tests.support.sockets import reset, unused_address

from easynetwork.exceptions import BusyResourceError, TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.transports._hooks import write_batch
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import ISocket, SocketAttribute

EVERY_BACKEND = True


async def sleep(delay: float) -> None:
    await ensure_backend(None).sleep(delay)


async def in_thread(func: Callable[..., Any], *args: Any) -> Any:
    return await ensure_backend(None).run_in_thread(func, *args)


def leaves(exc: BaseException) -> list[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        return [leaf for item in exc.exceptions for leaf in leaves(item)]
    return [exc]


@pytest.fixture
def no_server() -> int:
    """A port without a listener."""
    return unused_address()[1]


@pytest.fixture
@contextlib.asynccontextmanager
async def listener(backend: AsyncBackend) -> AsyncIterator[AsyncListener[AsyncStreamTransport]]:
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
    async with listener:
        yield listener


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


async def test_a_connected_socket_is_wrapped_and_owned(backend: AsyncBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = socket.create_connection(server.getsockname())
        with server.accept()[0] as peer:
            transport = await backend.wrap_stream_socket(sock)
            peer.sendall(b"hello")
            assert await transport.recv(100) == b"hello"
            await transport.aclose()
            assert await in_thread(peer.recv, 100) == b""


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


# --- receiving


async def test_recv_gives_at_most_what_was_asked_for_and_loses_nothing(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"0123456789")
    received = b""
    while len(received) < 10:
        piece = await transport.recv(3)
        assert 1 <= len(piece) <= 3
        received += piece
    assert received == b"0123456789"


async def test_recv_of_nothing_does_not_wait(pair: Pair) -> None:
    transport, peer = pair
    assert await transport.recv(0) == b""
    assert await transport.recv_into(bytearray()) == 0
    peer.sendall(b"x")
    assert await transport.recv(1) == b"x"


async def test_a_negative_bufsize_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError):
        await pair[0].recv(-1)


@pytest.mark.parametrize("buffer", [bytearray(8), memoryview(bytearray(8)), memoryview(bytearray(8)).cast("I")])
async def test_recv_into_writes_at_the_start_of_any_buffer(pair: Pair, buffer: Any) -> None:
    transport, peer = pair
    peer.sendall(b"abc")
    assert await transport.recv_into(buffer) == 3
    assert bytes(buffer)[:4] == b"abc\0"


async def test_the_end_of_the_stream_is_sticky_and_comes_after_all_bytes(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"last")
    peer.shutdown(socket.SHUT_WR)
    assert await transport.recv(100) == b"last"
    for _ in range(3):
        assert await transport.recv(100) == b""
        assert await transport.recv_into(bytearray(10)) == 0
    assert not transport.is_closing()
    await transport.send_all(b"still")
    assert await in_thread(peer.recv, 100) == b"still"


async def test_a_reset_is_an_error_and_not_the_end_of_the_stream(pair: Pair) -> None:
    transport, peer = pair
    reset(peer)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await transport.recv(100)
    with pytest.raises(OSError):
        await transport.send_all(b"x")
        await transport.send_all(b"x")
    assert not transport.is_closing()
    await transport.aclose()
    assert transport.is_closing()


async def test_a_second_reader_is_refused(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    async with backend.create_task_group() as group:
        first = await group.start(transport.recv, 100)
        await sleep(0)
        with pytest.raises(BusyResourceError):
            await transport.recv(100)
        peer.sendall(b"x")
        assert await first.join() == b"x"


async def test_a_thousand_cancelled_receptions_lose_nothing(backend: AsyncBackend, pair: Pair, rng: Any) -> None:
    transport, peer = pair
    sent = bytes(rng.randrange(256) for _ in range(5000))
    received = bytearray()
    position = 0
    while len(received) < len(sent):
        size = rng.randrange(20)
        peer.sendall(sent[position : position + size])
        position += size
        with backend.move_on_after(rng.choice([0, 0, 0.0005])):
            received += await transport.recv(rng.randrange(1, 50))
    assert bytes(received) == sent


@pytest.mark.parametrize("when", ["before", "while"])
async def test_receiving_from_a_closed_transport_does_not_hang(backend: AsyncBackend, pair: Pair, when: str) -> None:
    transport, _ = pair
    async with backend.create_task_group() as group:
        if when == "before":
            await transport.aclose()

        async def receive() -> bytes | None:
            try:
                return await transport.recv(100)
            except OSError as exc:
                return b"" if exc.errno == errno.EBADF else None

        task = await group.start(receive)
        await sleep(0)
        await transport.aclose()
        assert await task.join() == b""


async def test_memory_is_bounded_if_nobody_receives(pair: Pair) -> None:
    transport, peer = pair
    peer.setblocking(False)
    sent = 0
    for _ in range(2000):
        with contextlib.suppress(BlockingIOError):
            sent += peer.send(b"x" * 65536)
        await sleep(0)
    assert sent < 2000 * 65536 / 2
    received = 0
    while received < sent:
        received += len(await transport.recv(1 << 20))
    assert received == sent


async def test_ancillary_data_is_not_supported(pair: Pair) -> None:
    transport, _ = pair
    with pytest.raises(UnsupportedOperation):
        await transport.recv_with_ancillary(10, 10)
    with pytest.raises(UnsupportedOperation):
        await transport.recv_with_ancillary_into(bytearray(10), 10)
    with pytest.raises(UnsupportedOperation):
        await transport.send_all_with_ancillary([b"x"], [])


# --- sending


@pytest.mark.parametrize(
    "data",
    [b"abcdefgh", bytearray(b"abcdefgh"), memoryview(b"abcdefgh"), memoryview(b"abcdefgh").cast("I")],
    ids=["bytes", "bytearray", "memoryview", "memoryview of ints"],
)
async def test_any_buffer_can_be_sent(pair: Pair, data: Any) -> None:
    transport, peer = pair
    await transport.send_all(data)
    assert await in_thread(peer.recv, 100) == b"abcdefgh"


async def test_a_buffer_changed_after_it_was_sent_does_not_change_what_is_sent(pair: Pair) -> None:
    transport, peer = pair
    data = bytearray(b"before")
    await transport.send_all(data)
    data[:] = b"after!"
    await sleep(0.001)
    assert await in_thread(peer.recv, 100) == b"before"


async def test_pieces_are_sent_as_one_and_none_if_the_iterable_fails(pair: Pair) -> None:
    transport, peer = pair

    def failing() -> Any:
        yield b"lost"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await transport.send_all_from_iterable(failing())
    await transport.send_all_from_iterable([])
    pieces: list[bytes | bytearray | memoryview] = [b"a", bytearray(b"b"), memoryview(b"c")]
    await transport.send_all_from_iterable(iter(pieces))
    await transport.aclose()
    assert await in_thread(peer.recv, 100) == b"abc"


async def test_a_sender_waits_for_a_peer_that_does_not_read(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    sent = 0
    with backend.move_on_after(0.1) as scope:
        while sent < 1 << 28:
            await transport.send_all(b"x" * 65536)
            sent += 65536
    assert scope.cancelled_caught()
    assert sent < 1 << 28
    with pytest.raises(TimeoutError), backend.timeout(0.01):
        await transport.send_all(bytes(1 << 22))
    reset(peer)


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


async def test_a_sender_of_much_is_told_when_the_connection_breaks(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    async with backend.create_task_group() as group:

        async def send() -> str:
            try:
                await transport.send_all(bytes(1 << 24))
            except ConnectionError:
                return "broken"
            return "sent"

        sending = await group.start(send)
        await sleep(0.01)
        reset(peer)
        assert await sending.join() == "broken"


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


async def test_sending_after_closing_is_an_oserror(pair: Pair) -> None:
    transport, _ = pair
    await transport.aclose()
    for _ in range(2):
        with pytest.raises(OSError) as info:
            await transport.send_all(b"x")
        assert info.value.errno == errno.EBADF or isinstance(info.value, ConnectionError)


async def test_send_eof_comes_after_all_bytes_and_leaves_receiving_open(pair: Pair) -> None:
    transport, peer = pair
    await transport.send_all(b"x" * 50_000)
    await transport.send_eof()
    await transport.send_eof()
    received = b""
    while piece := await in_thread(peer.recv, 65536):
        received += piece
    assert received == b"x" * 50_000
    peer.sendall(b"answer")
    assert await transport.recv(100) == b"answer"
    with pytest.raises(OSError):
        await transport.send_all(b"more")


async def test_send_eof_on_a_closed_or_broken_transport_is_harmless(pair: Pair) -> None:
    transport, peer = pair
    reset(peer)
    with contextlib.suppress(OSError):
        await transport.recv(1)
    await transport.send_eof()
    await transport.aclose()
    await transport.send_eof()


# --- closing


async def test_closing_sends_what_was_accepted(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    await transport.send_all(b"x" * 200_000)
    async with backend.create_task_group() as group:
        group.start_soon(transport.aclose)
        received = b""
        while piece := await in_thread(peer.recv, 1 << 20):
            received += piece
    assert received == b"x" * 200_000


async def test_is_closing_is_true_as_soon_as_aclose_was_called(pair: Pair) -> None:
    transport, _ = pair
    assert not transport.is_closing()
    coroutine = transport.aclose()
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
    assert transport.is_closing()
    coroutine.close()


async def test_closing_again_is_harmless_and_waits_for_the_first(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    await backend.gather(transport.aclose(), transport.aclose(), transport.aclose())
    await transport.aclose()
    assert await in_thread(peer.recv, 1) == b""


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


async def test_closing_ends_a_blocked_sender(backend: AsyncBackend, pair: Pair) -> None:
    transport, _ = pair
    await fill(backend, transport)

    async def send() -> str:
        try:
            await transport.send_all(b"more")
        except OSError:
            return "refused"
        return "sent"

    async with backend.create_task_group() as group:
        sender = await group.start(send)
        await sleep(0)
        await aclose_forcefully(transport)
        assert await sender.join() in ("refused", "sent")


async def test_closing_forcefully_lets_no_cancellation_escape(backend: AsyncBackend, pair: Pair) -> None:
    transport, _ = pair
    await fill(backend, transport)
    await aclose_forcefully(transport)
    await backend.coro_yield()
    assert transport.is_closing()


async def test_a_dropped_transport_warns_and_closes(backend: AsyncBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport: AsyncStreamTransport | None = await backend.create_tcp_connection(*server.getsockname())
        peer, _ = server.accept()
    with peer:
        peer.settimeout(5)
        dropped = [transport]
        transport = None
        with pytest.warns(ResourceWarning, match="unclosed transport"):
            dropped.clear()
        gc.collect()
        await sleep(0.001)
        with contextlib.suppress(ConnectionResetError):
            assert await in_thread(peer.recv, 1) == b""


async def test_a_closed_transport_is_dropped_in_silence(backend: AsyncBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport: AsyncStreamTransport | None = await backend.create_tcp_connection(*server.getsockname())
    assert transport is not None
    await transport.aclose()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del transport
        gc.collect()


async def test_attributes_tell_about_the_socket(backend: AsyncBackend, pair: Pair) -> None:
    transport, peer = pair
    assert transport.backend() is backend
    assert isinstance(transport.extra(SocketAttribute.socket), ISocket)
    assert not hasattr(transport.extra(SocketAttribute.socket), "close")
    assert transport.extra(SocketAttribute.family) is socket.AF_INET
    assert transport.extra(SocketAttribute.sockname) == peer.getpeername()
    assert transport.extra(SocketAttribute.peername) == peer.getsockname()
    await transport.aclose()
    for key in (SocketAttribute.sockname, SocketAttribute.peername):
        with pytest.raises(TypedAttributeLookupError) as info:
            transport.extra(key)
        assert isinstance(info.value.__cause__, OSError)
        assert info.value.__cause__.errno == errno.EBADF


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
    """Returns a socket that listens at a port which is free at 127.0.0.1."""
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


async def test_the_attributes_of_a_listener(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    assert listener.backend() is backend
    assert listener.extra(SocketAttribute.family) is socket.AF_INET
    assert listener.extra(SocketAttribute.peername, None) is None
    assert isinstance(listener.extra(SocketAttribute.socket), ISocket)


async def connect_to(listener: AsyncListener[Any]) -> socket.socket:
    sock: socket.socket = await in_thread(socket.create_connection, address_of(listener), 5)
    return sock


async def greet(transport: AsyncStreamTransport) -> None:
    async with transport:
        await transport.send_all(b"hello")


@pytest.mark.parametrize("private", [True, False])
async def test_each_connection_has_a_task(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport], private: bool
) -> None:
    async with backend.create_task_group() as group:
        serving = await group.start(listener.serve, greet, None if private else group)
        for _ in range(5):
            with await connect_to(listener) as sock:
                assert await in_thread(sock.recv, 100) == b"hello"
        serving.cancel()


async def test_connections_made_before_serving_are_served(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    with await connect_to(listener) as sock:
        async with backend.create_task_group() as group:
            serving = await group.start(listener.serve, greet)
            assert await in_thread(sock.recv, 100) == b"hello"
            serving.cancel()


async def test_a_second_serve_is_refused(backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]) -> None:
    async with backend.create_task_group() as group:
        serving = await group.start(listener.serve, greet)
        await sleep(0)
        with pytest.raises(BusyResourceError):
            await listener.serve(greet)
        with pytest.raises(BusyResourceError):
            await listener.serve(greet, group)
        with await connect_to(listener) as sock:
            assert await in_thread(sock.recv, 100) == b"hello"
        serving.cancel()


async def test_a_listener_can_be_served_again(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    for _ in range(3):
        async with backend.create_task_group() as group:
            serving = await group.start(listener.serve, greet)
            with await connect_to(listener) as sock:
                assert await in_thread(sock.recv, 100) == b"hello"
            serving.cancel()
            await serving.wait()


@pytest.mark.parametrize("private", [True, False])
async def test_closing_ends_serve_with_ebadf(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport], private: bool
) -> None:
    async def serve() -> int | None:
        try:
            await listener.serve(greet, None if private else group)
        except OSError as exc:
            return exc.errno

    async with backend.create_task_group() as group:
        serving = await group.start(serve)
        await sleep(0.01)
        assert not listener.is_closing()
        await listener.aclose()
        await listener.aclose()
        assert listener.is_closing()
        assert await serving.join() == errno.EBADF
        assert await serve() == errno.EBADF


async def test_a_failing_handler_of_a_private_group_ends_serve(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        await transport.aclose()
        raise ZeroDivisionError

    async def serve() -> list[BaseException]:
        with pytest.raises(ExceptionGroup) as info:
            await listener.serve(handler)
        return leaves(info.value)

    async with backend.create_task_group() as group:
        serving = await group.start(serve)
        with await connect_to(listener):
            [error] = await serving.join()
    assert isinstance(error, ZeroDivisionError)


async def test_cancelling_serve_cancels_the_handlers_of_its_private_group(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    states: list[str] = []

    async def handler(transport: AsyncStreamTransport) -> None:
        async with transport:
            states.append("connected")
            try:
                await backend.sleep_forever()
            finally:
                states.append("ended")

    async with backend.create_task_group() as group:
        serving = await group.start(listener.serve, handler)
        with await connect_to(listener):
            while not states:
                await sleep(0.001)
            serving.cancel()
            await serving.wait()
    assert states == ["connected", "ended"]


async def test_a_slow_handler_does_not_stop_accepting(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    connections = 0

    async def handler(transport: AsyncStreamTransport) -> None:
        nonlocal connections
        async with transport:
            connections += 1
            await backend.sleep_forever()

    async with backend.create_task_group() as group:
        serving = await group.start(listener.serve, handler)
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(await connect_to(listener))
            while connections < 20:
                await sleep(0.001)
        serving.cancel()


async def test_connections_reset_at_once_are_survived(
    backend: AsyncBackend, listener: AsyncListener[AsyncStreamTransport]
) -> None:
    async with backend.create_task_group() as group:
        serving = await group.start(listener.serve, quiet(greet))
        for _ in range(20):
            reset(await connect_to(listener))
        with await connect_to(listener) as sock:
            assert await in_thread(sock.recv, 100) == b"hello"
        serving.cancel()


def quiet(handler: Callable[[AsyncStreamTransport], Any]) -> Callable[[AsyncStreamTransport], Any]:
    async def run(transport: AsyncStreamTransport) -> None:
        with contextlib.suppress(OSError):
            await handler(transport)

    return run


async def test_a_dropped_listener_warns_and_closes(backend: AsyncBackend) -> None:
    listeners: list[Any] = list(await backend.create_tcp_listeners("127.0.0.1", 0, 1))
    address = address_of(listeners[0])
    with pytest.warns(ResourceWarning, match="unclosed listener"):
        listeners.clear()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)
