"""The asynchronous TCP client, against plain sockets."""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import random
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.background import results, sleep, spawn, spawn_in_order
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE, Peer, turns_of_the_loop
from tests.support.slow_backend import slow_backend
from tests.support.socket_calls import socket_calls
from tests.support.sockets import tcp_pair

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.exceptions import ClientClosedError, StreamProtocolParseError
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.socket import IPv4SocketAddress, SocketProxy
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

Client = AsyncTCPNetworkClient[str, str]


class Remote:
    """What listens, and may accept."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._peers: list[Peer] = []

    async def accept(self) -> Peer:
        with ensure_backend(None).timeout(PATIENCE):
            peer = Peer(await socket_calls().accept(self.listener))
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        self.listener.close()
        for peer in self._peers:
            peer.close()


@contextlib.asynccontextmanager
async def listening(*, receive_buffer: int | None = None) -> AsyncIterator[Remote]:
    listener = socket.socket()
    if receive_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    with contextlib.closing(Remote(listener)) as remote:
        yield remote


@contextlib.asynccontextmanager
async def connected(
    *, receive_buffer: int | None = None, protocol: Any = None, **options: Any
) -> AsyncIterator[tuple[Client, Peer]]:
    async with listening(receive_buffer=receive_buffer) as remote:
        async with new_client(remote.address, protocol, **options) as client:
            yield client, await remote.accept()


def new_client(arg: Any = ("127.0.0.1", 9), protocol: Any = None, **options: Any) -> Client:
    return AsyncTCPNetworkClient(arg, protocol or line_protocol(), **options)


# --------------------------------------------------------------------------------------------------------- arguments


def test_backend_cannot_be_guessed_without_a_loop() -> None:
    with pytest.raises(RuntimeError):
        new_client()


@pytest.mark.parametrize("ssl_argument", [{}, {"ssl": None}, {"ssl": False}])
@pytest.mark.parametrize(
    "option",
    [
        {"server_hostname": "x"},
        {"server_hostname": ""},
        {"ssl_handshake_timeout": 0},
        {"ssl_shutdown_timeout": 1.0},
        {"ssl_standard_compatible": False},
    ],
)
async def test_tls_arguments_need_tls(ssl_argument: dict[str, Any], option: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        new_client(**ssl_argument, **option)


async def test_tls_socket_is_refused_and_closed() -> None:
    ours, theirs = tcp_pair()
    sock = ssl.create_default_context().wrap_socket(ours, do_handshake_on_connect=False, server_hostname="x")
    with theirs, pytest.raises(TypeError):
        new_client(sock)
    assert sock.fileno() == -1


# --------------------------------------------------------------------------------------------------------- connecting


async def test_client_connects_when_it_is_first_used() -> None:
    async with listening() as remote:
        for use in ("wait_connected", "send_packet", "recv_packet", "send_eof"):
            client = new_client(remote.address)
            assert not client.is_connected()
            assert not client.is_closing()
            task = spawn(getattr(client, use)(*(["x"] if use == "send_packet" else [])))
            peer = await remote.accept()
            await peer.send(b"x\n")
            assert await task.result() == ("x" if use == "recv_packet" else None)
            assert client.is_connected()
            await client.wait_connected()
            peer.close()
            await client.aclose()
            assert client.is_connected()
            assert client.is_closing()


async def test_refused_connection_is_a_group_and_can_be_tried_again() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        client = new_client(sock.getsockname())
        for use in (client.wait_connected, client.recv_packet):
            with pytest.raises(ExceptionGroup) as caught:
                await use()
            assert caught.value.subgroup(ConnectionRefusedError) is not None
            assert not client.is_connected()
            assert not client.is_closing()
        sock.listen()
        async with client:
            assert client.is_connected()


async def test_unknown_host_is_a_gaierror() -> None:
    client = new_client(("host.invalid", 12345))
    with pytest.raises(socket.gaierror):
        await client.wait_connected()
    assert not client.is_connected()


async def test_local_address_is_bound_to() -> None:
    async with listening() as remote, new_client(remote.address, local_address=("127.0.0.2", 0)) as client:
        assert client.get_local_address().host == "127.0.0.2"


async def test_local_address_that_cannot_be_bound_to_is_in_the_group() -> None:
    async with listening() as remote:
        client = new_client(remote.address, local_address=("192.0.2.1", 0))
        with pytest.raises(ExceptionGroup) as caught:
            await client.wait_connected()
        assert caught.value.subgroup(OSError) is not None


async def test_tasks_share_one_connection() -> None:
    async with listening() as remote:
        backend, slow = slow_backend("create_tcp_connection")
        client = new_client(remote.address, backend=backend)
        assert client.backend() is backend
        tasks = [spawn(client.wait_connected()) for _ in range(3)]
        sending = spawn(client.send_packet("x"))
        receiving = spawn(client.recv_packet())
        await turns_of_the_loop(5)
        slow.go_on.set()
        peer = await remote.accept()
        await peer.send(b"y\n")
        assert await peer.line() == b"x"
        assert await receiving.result() == "y"
        await results(*tasks, sending)
        assert slow.calls == 1
        await client.aclose()


@pytest.mark.parametrize("use", ["wait_connected", "recv_packet", "send_packet"])
async def test_closing_while_connecting_ends_the_attempt(use: str) -> None:
    async with listening() as remote:
        backend, slow = slow_backend("create_tcp_connection")
        client = new_client(remote.address, backend=backend)
        tasks = [spawn(getattr(client, use)(*(["x"] if use == "send_packet" else []))) for _ in range(2)]
        await turns_of_the_loop(5)
        await client.aclose()
        for task in tasks:
            with pytest.raises(ClientClosedError):
                await task.result()
        assert slow.calls == 1
        assert client.is_closing()
        assert not client.is_connected()


async def test_cancelled_attempt_can_be_tried_again() -> None:
    async with listening() as remote:
        backend, slow = slow_backend("create_tcp_connection")
        client = new_client(remote.address, backend=backend)
        task = spawn(client.wait_connected())
        await turns_of_the_loop(5)
        task.cancel()
        await task.wait()
        assert task.cancelled()
        slow.go_on.set()
        async with client:
            assert client.is_connected()


async def test_client_closed_before_it_was_connected_stays_closed() -> None:
    async with listening() as remote:
        client = new_client(remote.address)
        await client.aclose()
        await client.aclose()
        for use in (client.wait_connected, client.recv_packet, lambda: client.send_packet("x")):
            with pytest.raises(ClientClosedError):
                await use()
        await client.send_eof()
        assert not client.is_connected()


# ----------------------------------------------------------------------------------------------------------- adoption


async def test_connected_socket_is_adopted() -> None:
    ours, theirs = tcp_pair()
    peer = Peer(theirs)
    async with new_client(ours) as client:
        assert client.get_local_address() == theirs.getpeername()
        await client.send_packet("a")
        assert await peer.line() == b"a"
        await peer.send(b"b\n")
        assert await client.recv_packet() == "b"
        assert client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert await peer.rest() == b""
    assert ours.fileno() == -1
    theirs.close()


async def test_adopted_socket_is_closed_with_a_client_that_was_never_used() -> None:
    ours, theirs = tcp_pair()
    with theirs:
        await new_client(ours).aclose()
        assert ours.fileno() == -1


# ------------------------------------------------------------------------------------------------------------ packets


@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
async def test_packets_go_both_ways(protocol_class: Any) -> None:
    async with connected(protocol=protocol_class(StringLineSerializer()), max_recv_size=3) as (client, peer):
        for text in ("a", "longer than three"):
            await client.send_packet(text)
            assert await peer.line() == text.encode()
            await peer.send(text.encode() + b"\n")
            assert await client.recv_packet() == text


async def test_every_connection_gets_no_delay_and_keep_alive() -> None:
    async with connected() as (client, _):
        assert client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_packets_of_many_tasks_leave_in_the_order_of_the_calls() -> None:
    async with connected(receive_buffer=8192) as (client, peer):
        calls = itertools.count()

        async def send_some(pauses: int) -> None:
            for size in range(40):
                await turns_of_the_loop(pauses + size % 3)
                await client.send_packet(f"{next(calls)}:" + "x" * (100_000 if size % 10 == pauses else 50))

        tasks = [spawn(send_some(pauses)) for pauses in range(8)]
        received = []
        for number in range(8 * 40):
            received.append(int((await peer.line()).partition(b":")[0]))
            if number % 20 == 0:
                await sleep(0.005)
        await results(*tasks)
        assert received == list(range(8 * 40))


async def test_each_packet_goes_to_one_of_the_tasks_that_wait() -> None:
    async with connected() as (client, peer):
        tasks = await spawn_in_order(*(client.recv_packet() for _ in range(10)))
        await peer.send(b"".join(b"%d\n" % number for number in range(10)))
        assert await results(*tasks) == [str(number) for number in range(10)]


async def test_receiving_that_is_cancelled_at_any_moment_loses_nothing(rng: random.Random) -> None:
    async with connected(max_recv_size=50) as (client, peer):
        count = 2000
        data = b"".join(b"%d\n" % number for number in range(count))

        async def send_in_pieces() -> None:
            start = 0
            while start < len(data):
                end = start + rng.randrange(1, 20)
                await peer.send(data[start:end])
                await turns_of_the_loop(rng.randrange(30))
                start = end

        sending = spawn(send_in_pieces())
        received: list[str] = []
        cancelled = 0
        while len(received) < count:
            task = spawn(client.recv_packet())
            await turns_of_the_loop(rng.randrange(4))
            task.cancel()
            await task.wait()
            if task.cancelled():
                cancelled += 1
            else:
                received.append(await task.result())
        await sending.result()
        assert received == [str(number) for number in range(count)]
        assert cancelled > 100


async def test_invalid_bytes_are_skipped() -> None:
    async with connected() as (client, peer):
        await peer.send(b"a\n\xff\nb\n")
        assert await client.recv_packet() == "a"
        with pytest.raises(StreamProtocolParseError):
            await client.recv_packet()
        assert await client.recv_packet() == "b"


async def test_packet_that_cannot_be_encoded_leaves_the_connection_usable() -> None:
    async with connected() as (client, peer):
        with pytest.raises(RuntimeError):
            await client.send_packet("\udc80")
        await client.send_packet("a")
        assert await peer.line() == b"a"


async def test_half_closed_client_receives_and_does_not_send() -> None:
    async with connected() as (client, peer):
        await client.send_packet("a")
        await client.send_eof()
        await client.send_eof()
        assert await peer.rest() == b"a\n"
        with pytest.raises(RuntimeError):
            await client.send_packet("b")
        await peer.send(b"c\n")
        assert await client.recv_packet() == "c"
    await client.send_eof()


async def test_end_of_the_sending_direction_comes_after_the_packets_of_other_tasks() -> None:
    async with connected(receive_buffer=8192) as (client, peer):
        sending = spawn(client.send_packet("a" * 3_000_000))
        await turns_of_the_loop(3)
        ending = spawn(client.send_eof())
        assert await peer.rest() == b"a" * 3_000_000 + b"\n"
        await results(sending, ending)


# ------------------------------------------------------------------------------------------------------------- errors


async def test_end_of_the_stream_aborts_the_connection_and_leaves_the_client_open() -> None:
    async with connected() as (client, peer):
        await peer.send(b"a\nrest")
        peer.close()
        assert await client.recv_packet() == "a"
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError) as caught:
                await client.recv_packet()
            assert isinstance(caught.value.__cause__, OSError)
            assert not isinstance(caught.value, ClientClosedError)
        assert not client.is_closing()


async def test_reset_aborts_the_connection_and_leaves_the_client_open() -> None:
    async with connected() as (client, peer):
        receiving = spawn(client.recv_packet())
        await turns_of_the_loop(3)
        peer.reset()
        with pytest.raises(ConnectionAbortedError) as caught:
            await receiving.result()
        assert isinstance(caught.value.__cause__, ConnectionError)
        with pytest.raises(ConnectionAbortedError) as caught:
            while True:
                await client.send_packet("x")
        assert isinstance(caught.value.__cause__, ConnectionError)
        assert not client.is_closing()


# ------------------------------------------------------------------------------------------------------------ closing


async def test_closed_client_refuses_everything() -> None:
    async with connected() as (client, peer):
        sock = client.socket
        await client.aclose()
        await client.aclose()
        assert client.is_closing()
        assert await peer.rest() == b""
        for use in (client.wait_connected, client.recv_packet, lambda: client.send_packet("x")):
            with pytest.raises(ClientClosedError):
                await use()
        for address in (client.get_local_address, client.get_remote_address):
            with pytest.raises(ClientClosedError):
                address()
        await client.send_eof()
        assert client.socket is sock
        assert sock.fileno() == -1


async def test_closing_wakes_those_who_receive() -> None:
    async with connected() as (client, _):
        tasks = [spawn(client.recv_packet()) for _ in range(3)]
        await turns_of_the_loop(3)
        await client.aclose()
        for task in tasks:
            with pytest.raises(ClientClosedError):
                await task.result()


async def test_closing_waits_for_the_packets_of_other_tasks() -> None:
    async with connected(receive_buffer=8192) as (client, peer):
        sending = await spawn_in_order(*(client.send_packet(text * 3_000_000) for text in "bc"))
        closing = [spawn(client.aclose()) for _ in range(2)]
        await turns_of_the_loop(3)
        assert not any(task.done() for task in closing)
        assert await peer.rest() == b"b" * 3_000_000 + b"\n" + b"c" * 3_000_000 + b"\n"
        await results(*sending, *closing)


async def test_closing_that_is_cancelled_closes_abruptly() -> None:
    async with connected(receive_buffer=8192) as (client, peer):
        sending = spawn(client.send_packet("b" * 30_000_000))
        await turns_of_the_loop(3)
        closing = spawn(client.aclose())
        await turns_of_the_loop(3)
        closing.cancel()
        await closing.wait()
        assert closing.cancelled()
        assert client.is_closing()
        await sending.wait()
        assert await peer.gone()
        with pytest.raises(ClientClosedError):
            await client.send_packet("x")


async def test_open_client_that_is_forgotten_is_warned_about() -> None:
    async with listening() as remote:
        client = new_client(remote.address)
        await client.wait_connected()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del client
            gc.collect()
            assert caught[0].category is ResourceWarning
            assert "unclosed client" in str(caught[0].message)
            while caught:  # what has warned is in there, and holds what will warn
                caught.clear()
                gc.collect()
                await turns_of_the_loop(5)
                gc.collect()


# ---------------------------------------------------------------------------------------------------------- iteration


async def test_iterator_gives_what_is_there_and_stops() -> None:
    async with connected() as (client, peer):
        await peer.send(b"a\nb\nc\n")
        assert await client.recv_packet() == "a"
        iterator = client.iter_received_packets()
        assert aiter(iterator) is iterator
        assert [packet async for packet in iterator] == ["b", "c"]
        with pytest.raises(StopAsyncIteration) as caught:
            await anext(iterator)
        assert isinstance(caught.value.__cause__, TimeoutError)


async def test_iterator_asks_again_after_it_stopped() -> None:
    async with connected() as (client, peer):
        iterator = client.iter_received_packets(timeout=0.02)
        assert [packet async for packet in iterator] == []
        await peer.send(b"a\nb\n")
        assert await client.recv_packet() == "a"
        assert await anext(iterator) == "b"


async def test_time_limit_of_an_iterator_is_for_waiting_only() -> None:
    async with connected() as (client, peer):
        received = []
        await peer.send(b"a\n")
        async for packet in client.iter_received_packets(timeout=PATIENCE):
            received.append(packet)
            await sleep(0.01)
            if len(received) == 3:
                break
            await peer.send(packet.encode() + b"a\n")
        assert received == ["a", "aa", "aaa"]


@pytest.mark.parametrize("timeout", [None, float("inf")])
async def test_iterator_without_a_time_limit_stops_at_the_end_of_the_stream(timeout: float | None) -> None:
    async with connected() as (client, peer):
        await peer.send(b"a\nb\n")
        peer.close()
        iterator = client.iter_received_packets(timeout=timeout)
        assert [packet async for packet in iterator] == ["a", "b"]
        with pytest.raises(StopAsyncIteration) as caught:
            await anext(iterator)
        assert isinstance(caught.value.__cause__, ConnectionAbortedError)


async def test_iterator_of_a_closed_client_stops() -> None:
    async with connected() as (client, _):
        iterator = client.iter_received_packets(timeout=None)
        await client.aclose()
        assert [packet async for packet in iterator] == []


async def test_invalid_bytes_do_not_end_an_iterator() -> None:
    async with connected() as (client, peer):
        iterator = client.iter_received_packets(timeout=PATIENCE)
        await peer.send(b"a\n\xff\nb\n")
        assert await anext(iterator) == "a"
        with pytest.raises(StreamProtocolParseError):
            await anext(iterator)
        assert await anext(iterator) == "b"


# -------------------------------------------------------------------------------------------------------------- facts


async def test_addresses_are_known_once_connected() -> None:
    async with listening() as remote:
        client = new_client(remote.address)
        for address in (client.get_local_address, client.get_remote_address):
            with pytest.raises(OSError) as caught:
                address()
            assert caught.value.errno == errno.ENOTCONN
        async with client:
            peer = await remote.accept()
            assert isinstance(client.get_local_address(), IPv4SocketAddress)
            assert client.get_local_address() == peer.sock.getpeername()
            assert client.get_remote_address() == remote.address


async def test_socket_is_always_the_same_view() -> None:
    async with listening() as remote:
        client = new_client(remote.address)
        with pytest.raises(AttributeError):
            _ = client.socket
        async with client:
            assert isinstance(client.socket, SocketProxy)
            assert client.socket is client.socket
            assert client.socket.getpeername() == remote.address


async def test_socket_that_nobody_asked_for_cannot_be_asked_for_after_closing() -> None:
    async with connected() as (client, _):
        await client.aclose()
        with pytest.raises(AttributeError):
            _ = client.socket
