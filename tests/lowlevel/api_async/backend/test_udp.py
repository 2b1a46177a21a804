"""UDP endpoints. What every datagram transport promises, tests/conformance checks on UDP too."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.support.background import settle, spawn
from tests.support.name_resolution import resolve_to, udp_addresses
from tests.support.sockets import udp_socket, unused_address

from easynetwork.exceptions import BusyResourceError, TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A blocking socket without any of our code."""
    with udp_socket() as sock:
        yield sock


@pytest.fixture
@contextlib.asynccontextmanager
async def transport(backend: AsyncBackend, peer: socket.socket) -> AsyncIterator[AsyncDatagramTransport]:
    """Connected to `peer`, which is connected to it."""
    transport = await backend.create_udp_endpoint(*peer.getsockname())
    peer.connect(transport.extra(SocketAttribute.sockname))
    yield transport
    await aclose_forcefully(transport)


@pytest.fixture
def nobody() -> tuple[str, int]:
    """An address without a receiver."""
    return unused_address(socket.SOCK_DGRAM)


# --- opening


async def test_the_next_address_is_tried_if_one_cannot_be_connected_to(
    backend: AsyncBackend, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = peer.getsockname()[1]
    # Broadcasting is not permitted.
    resolve_to(backend, monkeypatch, udp_addresses(port, "255.255.255.255", "127.0.0.1"))
    async with await backend.create_udp_endpoint("name.invalid", port) as transport:
        assert transport.extra(SocketAttribute.peername) == ("127.0.0.1", port)


async def test_each_address_that_fails_has_its_error_in_a_group(
    backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(backend, monkeypatch, udp_addresses(1, "255.255.255.255", "255.255.255.255"))
    with pytest.raises(ExceptionGroup) as info:
        await backend.create_udp_endpoint("name.invalid", 1)
    assert [type(exc) for exc in info.value.exceptions] == [PermissionError] * 2


@pytest.mark.parametrize("family", [socket.AF_UNIX, 12345])
async def test_a_family_that_is_not_of_the_internet_is_refused(backend: AsyncBackend, family: int) -> None:
    with pytest.raises(ValueError, match="AF_INET"):
        await backend.create_udp_endpoint("127.0.0.1", 1, family=family)


async def test_the_family_and_the_local_address_are_as_asked(backend: AsyncBackend, peer: socket.socket) -> None:
    transport = await backend.create_udp_endpoint(
        *peer.getsockname(), local_address=("127.0.0.3", 0), family=socket.AF_INET
    )
    async with transport:
        assert transport.extra(SocketAttribute.sockname)[0] == "127.0.0.3"
        assert transport.extra(SocketAttribute.family) is socket.AF_INET


async def test_an_unknown_host_is_a_bare_gaierror(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(socket.gaierror):
        await backend.create_udp_endpoint("name.invalid", 12345)


async def test_a_connected_socket_is_wrapped_and_owned(backend: AsyncBackend, peer: socket.socket) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.connect(peer.getsockname())
    transport = await backend.wrap_connected_datagram_socket(sock)
    assert not sock.getblocking()
    await transport.send(b"wrapped")
    assert peer.recv(100) == b"wrapped"
    await transport.aclose()
    assert sock.fileno() == -1


async def test_a_stream_socket_is_refused_and_closed(backend: AsyncBackend) -> None:
    sock = socket.socket()
    with pytest.raises(ValueError, match="SOCK_DGRAM"):
        await backend.wrap_connected_datagram_socket(sock)
    assert sock.fileno() == -1


async def test_a_tls_socket_is_refused_and_closed(backend: AsyncBackend) -> None:
    with ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="localhost") as sock:
        with pytest.raises(TypeError):
            await backend.wrap_connected_datagram_socket(sock)
        assert sock.fileno() == -1


# --- receiving


async def test_datagrams_are_received_one_at_a_time_and_in_order(
    transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    sent = [b"%d" % i * (i % 7) for i in range(100)]  # some are empty
    for datagram in sent:
        peer.send(datagram)
    assert [await transport.recv() for _ in sent] == sent


async def test_the_largest_datagram_is_received_whole(transport: AsyncDatagramTransport, peer: socket.socket) -> None:
    largest = bytes(range(256)) * 256
    largest = largest[:65507]
    peer.send(largest)
    assert await transport.recv() == largest


async def test_a_waiting_reader_is_woken_also_by_an_empty_datagram(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    async with backend.create_task_group() as tasks:
        for datagram in (b"", b"not empty", b""):
            receiving = await tasks.start(transport.recv)
            await backend.sleep(0.001)
            assert not receiving.done()
            peer.send(datagram)
            assert await receiving.join() == datagram


async def test_a_second_reader_is_refused_and_the_first_goes_on(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    async with backend.create_task_group() as tasks:
        first = await tasks.start(transport.recv)
        await backend.coro_yield()
        with pytest.raises(BusyResourceError):
            await transport.recv()
        peer.send(b"for the first")
        assert await first.join() == b"for the first"


async def test_a_thousand_cancelled_receptions_lose_nothing(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket, rng: Any
) -> None:
    received: list[bytes] = []
    sent = 0
    for _ in range(1000):
        if rng.random() < 0.5:
            peer.send(b"%d" % sent)
            sent += 1
        receiving = spawn(transport.recv())
        for _ in range(rng.randrange(3)):
            await backend.coro_yield()
        receiving.cancel()
        await receiving.wait()
        if not receiving.cancelled():
            received.append(await receiving.result())
    while len(received) < sent:
        received.append(await transport.recv())
    assert received == [b"%d" % i for i in range(sent)]


async def test_a_reader_who_never_waits_lets_others_run(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    for _ in range(200):
        peer.send(b"x")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await backend.coro_yield()

    task = spawn(others())
    for _ in range(200):
        await transport.recv()
    task.cancel()
    assert turns >= 2


async def test_datagrams_that_no_task_receives_are_limited_and_the_others_are_counted(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    """The system drops some, and asyncio's transport drops others while it keeps what the loop has received."""
    sent, received = 5000, 0
    assert transport.dropped_datagrams == 0
    for number in range(sent):
        peer.send(b"%d" % number + bytes(1000))
        if number % 50 == 0:
            await backend.coro_yield()
    await settle()
    dropped = transport.dropped_datagrams
    assert sent // 2 < dropped < sent
    numbers: list[int] = []
    while received + dropped < sent:
        numbers.append(int((await transport.recv()).rstrip(b"\0")))
        received += 1
    assert numbers == sorted(numbers)
    peer.send(b"there is room again")
    assert await transport.recv() == b"there is room again"
    await transport.aclose()
    assert transport.dropped_datagrams == dropped


# --- sending


@pytest.mark.parametrize(
    "data", [b"", b"bytes", bytearray(b"array"), memoryview(b"view")[1:], memoryview(b"xy").cast("H")]
)
async def test_any_buffer_is_one_datagram(transport: AsyncDatagramTransport, peer: socket.socket, data: Any) -> None:
    await transport.send(data)
    assert peer.recv(100) == bytes(data)


async def test_an_oversized_datagram_is_told_and_the_transport_stays_usable(
    transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    with pytest.raises(OSError) as info:
        await transport.send(bytes(65508))
    assert info.value.errno == errno.EMSGSIZE
    await transport.send(b"short")
    assert peer.recv(100) == b"short"


async def test_ancillary_data_is_not_supported(transport: AsyncDatagramTransport) -> None:
    with pytest.raises(UnsupportedOperation):
        await transport.recv_with_ancillary(1024)
    with pytest.raises(UnsupportedOperation):
        await transport.send_with_ancillary(b"", [])


# --- errors that the network reports


async def test_a_refused_datagram_is_told_once_by_the_next_reception(
    backend: AsyncBackend, nobody: tuple[str, int]
) -> None:
    async with await backend.create_udp_endpoint(*nobody) as transport:
        await transport.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            await transport.recv()
        async with backend.create_task_group() as tasks:
            receiving = await tasks.start(transport.recv)
            await backend.sleep(0.01)
            assert not receiving.done()
            receiving.cancel()


async def test_a_refused_datagram_is_told_once_by_the_next_sending(
    backend: AsyncBackend, nobody: tuple[str, int]
) -> None:
    async with await backend.create_udp_endpoint(*nobody) as transport:
        await transport.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            await transport.send(b"anybody?")
        await transport.send(b"anybody?")


async def test_a_waiting_reader_is_told_that_a_datagram_was_refused_and_can_go_on(
    backend: AsyncBackend, nobody: tuple[str, int]
) -> None:
    async with await backend.create_udp_endpoint(*nobody) as transport:
        receiving = spawn(transport.recv())
        await settle()
        await transport.send(b"anybody?")
        with pytest.raises(ConnectionRefusedError):
            await receiving.result()
        with socket.socket(type=socket.SOCK_DGRAM) as late:
            late.bind(nobody)
            late.sendto(b"here I am", transport.extra(SocketAttribute.sockname))
            assert await transport.recv() == b"here I am"


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("thief", ["sending", "a look at SO_ERROR"])
async def test_a_waiting_reader_survives_that_another_one_is_told_the_error(
    backend: AsyncBackend, nobody: tuple[str, int], thief: str, turns: int
) -> None:
    async with await backend.create_udp_endpoint(*nobody) as transport:
        receiving = spawn(transport.recv())
        await settle()
        await transport.send(b"anybody?")
        for _ in range(turns):
            await backend.coro_yield()
        with contextlib.suppress(ConnectionRefusedError):
            if thief == "sending":
                await transport.send(b"anybody?")
            else:
                transport.extra(SocketAttribute.socket).getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        with socket.socket(type=socket.SOCK_DGRAM) as late:
            late.bind(nobody)
            await backend.sleep(0.005)
            late.sendto(b"here I am", transport.extra(SocketAttribute.sockname))
            while True:
                try:
                    assert await receiving.result() == b"here I am"
                    break
                except ConnectionRefusedError:
                    receiving = spawn(transport.recv())


# --- closing


async def test_closing_wakes_a_waiting_reader(backend: AsyncBackend, transport: AsyncDatagramTransport) -> None:
    receiving = spawn(transport.recv())
    await settle()
    await transport.aclose()
    with pytest.raises(OSError) as info:
        await receiving.result()
    assert info.value.errno == errno.EBADF


async def test_closing_wakes_a_reader_that_lets_others_run(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    for _ in range(100):
        peer.send(b"x")

    async def read_on() -> None:
        while True:
            await transport.recv()

    receiving = spawn(read_on())
    await settle()
    await transport.aclose()
    with pytest.raises(OSError) as info:
        await receiving.result()
    assert info.value.errno == errno.EBADF


async def test_everything_on_a_closed_transport_is_told_so(transport: AsyncDatagramTransport) -> None:
    await transport.aclose()
    for operation in (transport.recv(), transport.send(b"x")):
        with pytest.raises(OSError) as info:
            await operation
        assert info.value.errno == errno.EBADF
    with pytest.raises(TypedAttributeLookupError):
        transport.extra(SocketAttribute.sockname)


async def test_closing_is_idempotent_and_told_at_once(backend: AsyncBackend, transport: AsyncDatagramTransport) -> None:
    assert not transport.is_closing()
    closing = spawn(transport.aclose())
    await settle()
    assert transport.is_closing()
    await closing.result()
    await transport.aclose()


async def test_a_cancelled_close_has_closed(backend: AsyncBackend, transport: AsyncDatagramTransport) -> None:
    closing = spawn(transport.aclose())
    await settle()
    closing.cancel()
    await closing.wait()
    assert transport.extra(SocketAttribute.socket).fileno() == -1


async def test_the_number_of_a_closed_socket_can_be_used_again_at_once(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    """The event loop must have forgotten it."""
    receiving = spawn(transport.recv())
    await settle()
    number = transport.extra(SocketAttribute.socket).fileno()
    closing = spawn(transport.aclose())
    await settle()
    async with await backend.create_udp_endpoint(*peer.getsockname()) as successor:
        assert successor.extra(SocketAttribute.socket).fileno() == number
        waiting = spawn(successor.recv())
        await backend.sleep(0.01)
        peer.sendto(b"for the second", successor.extra(SocketAttribute.sockname))
        assert await waiting.result() == b"for the second"
    await closing.result()
    with pytest.raises(OSError):
        await receiving.result()


async def test_a_dropped_transport_warns_and_closes(backend: AsyncBackend, peer: socket.socket) -> None:
    transport = await backend.create_udp_endpoint(*peer.getsockname())
    sock = transport.extra(SocketAttribute.socket)
    with pytest.warns(ResourceWarning, match="unclosed transport"):
        del transport
    await settle()
    assert sock.fileno() == -1


async def test_a_closed_transport_is_dropped_in_silence(backend: AsyncBackend, peer: socket.socket) -> None:
    transport = await backend.create_udp_endpoint(*peer.getsockname())
    await transport.aclose()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del transport
        gc.collect()


async def test_attributes_tell_about_the_socket(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    assert transport.backend() is backend
    assert transport.extra(SocketAttribute.peername) == peer.getsockname()
    assert transport.extra(SocketAttribute.sockname) == peer.getpeername()
    assert transport.extra(SocketAttribute.socket).type == socket.SOCK_DGRAM
    assert "127.0.0.1" in repr(transport)
