"""The asynchronous UDP client, against plain sockets."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.background import results, settle, sleep, spawn, spawn_in_order
from tests.support.sockets import PATIENCE

from easynetwork.clients.async_udp import AsyncUDPNetworkClient
from easynetwork.exceptions import ClientClosedError, DatagramProtocolParseError
from easynetwork.lowlevel.socket import IPv4SocketAddress, IPv6SocketAddress
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers import StringLineSerializer

EVERY_BACKEND = True

Client = AsyncUDPNetworkClient[str, str]


class Remote:
    """A plain socket that knows the sender of the last datagram."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self.sock.settimeout(PATIENCE)
        self.address: tuple[str, int] = self.sock.getsockname()[:2]
        self.client: Any = None

    def receive(self) -> bytes:
        data, self.client = self.sock.recvfrom(65536)
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendto(data, self.client)


@pytest.fixture
def remote() -> Iterator[Remote]:
    remote = Remote()
    with contextlib.closing(remote.sock):
        yield remote


def new_client(arg: Any = ("127.0.0.1", 9), protocol: Any = None, **options: Any) -> Client:
    return AsyncUDPNetworkClient(arg, protocol or DatagramProtocol(StringLineSerializer()), **options)


async def acquainted(client: Client, remote: Remote) -> None:
    """Let *remote* learn the address of *client*."""
    await client.send_packet("hello")
    assert remote.receive() == b"hello"


def connected_socket(remote: Remote, type_: int = socket.SOCK_DGRAM) -> socket.socket:
    sock = socket.socket(socket.AF_INET, type_)
    sock.connect(remote.address)
    return sock


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("family", [socket.AF_UNIX, 12345])
async def test_family_is_an_internet_family(family: int) -> None:
    with pytest.raises(ValueError, match="family"):
        new_client(family=family)


# -------------------------------------------------------------------------------------------------------- connecting


async def test_nothing_is_connected_before_it_is_used(remote: Remote) -> None:
    client = new_client(remote.address)
    assert not client.is_connected()
    assert not client.is_closing()
    for get_address in (client.get_local_address, client.get_remote_address):
        with pytest.raises(OSError) as info:
            get_address()
        assert info.value.errno == errno.ENOTCONN
    with pytest.raises(AttributeError):
        _ = client.socket
    await client.wait_connected()
    assert client.is_connected()
    await client.aclose()
    assert client.is_connected()


async def test_sending_connects(remote: Remote) -> None:
    client = new_client(remote.address)
    await client.send_packet("hello")
    assert remote.receive() == b"hello"
    await client.aclose()


async def test_addresses_and_socket(remote: Remote) -> None:
    async with new_client(remote.address, local_address=("127.0.0.1", 0)) as client:
        assert client.get_remote_address() == IPv4SocketAddress(*remote.address)
        assert client.get_local_address().host == "127.0.0.1"
        await acquainted(client, remote)
        assert remote.client == client.get_local_address()[:2]
        assert client.socket is client.socket
        assert client.socket.fileno() >= 0
        sock = client.socket
    assert sock.fileno() == -1


async def test_adopted_socket_is_used_and_owned(remote: Remote) -> None:
    sock = connected_socket(remote)
    async with new_client(sock) as client:
        await acquainted(client, remote)
        assert not sock.getblocking()
    assert sock.fileno() < 0


async def test_adopted_socket_is_closed_with_a_client_that_was_never_used(remote: Remote) -> None:
    sock = connected_socket(remote)
    await new_client(sock).aclose()
    assert sock.fileno() < 0


async def test_addresses_of_another_family_are_not_used(remote: Remote) -> None:
    client = new_client(remote.address, family=socket.AF_INET6)
    with pytest.raises(socket.gaierror):
        await client.wait_connected()
    await client.aclose()
    remote = Remote(socket.AF_INET6)
    with contextlib.closing(remote.sock):
        async with new_client(remote.address, family=socket.AF_INET6) as client:
            assert isinstance(client.get_remote_address(), IPv6SocketAddress)
            await acquainted(client, remote)


async def test_local_address_that_is_taken_is_refused(remote: Remote) -> None:
    client = new_client(remote.address, local_address=remote.address)
    with pytest.raises(ExceptionGroup) as info:
        await client.wait_connected()
    assert info.group_contains(OSError, match=r"127\.0\.0\.1")
    assert not client.is_connected()
    assert not client.is_closing()
    await client.aclose()


async def test_unknown_host_is_an_error_of_its_own() -> None:
    client = new_client(("host.invalid", 9))
    with pytest.raises(socket.gaierror):
        await client.send_packet("x")
    await client.aclose()


# --------------------------------------------------------------------------------------------- sending and receiving


async def test_one_packet_is_one_datagram(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        for text in ("a", "", "b" * 1000):
            await client.send_packet(text)
        assert [remote.receive() for _ in range(3)] == [b"a", b"", b"b" * 1000]
        for data in (b"x", b"", b"y" * 1000):
            remote.send(data)
        assert [await client.recv_packet() for _ in range(3)] == ["x", "", "y" * 1000]


async def test_only_the_peer_is_heard(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        await acquainted(client, remote)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"psst", client.get_local_address()[:2])
        remote.send(b"peer")
        assert await client.recv_packet() == "peer"


async def test_invalid_datagram_is_an_error_and_the_next_one_is_received(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        await acquainted(client, remote)
        remote.send(b"\xff")
        remote.send(b"fine")
        with pytest.raises(DatagramProtocolParseError):
            await client.recv_packet()
        assert await client.recv_packet() == "fine"


async def test_packet_that_cannot_be_encoded_sends_nothing(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        with pytest.raises(RuntimeError):
            await client.send_packet("é")
        await client.send_packet("e")
        assert remote.receive() == b"e"


async def test_oversized_datagram_is_refused(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        with pytest.raises(OSError) as info:
            await client.send_packet("x" * 70_000)
        assert info.value.errno == errno.EMSGSIZE
        await acquainted(client, remote)


async def test_sending_tells_that_nobody_is_there(remote: Remote) -> None:
    remote.sock.close()
    async with new_client(remote.address) as client:
        with pytest.raises(ConnectionRefusedError):
            await client.send_packet("x")
        assert not client.is_closing()


async def test_packets_of_several_tasks_all_arrive(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        await results(*(spawn(client.send_packet(str(number))) for number in range(50)))
    assert {remote.receive() for _ in range(50)} == {str(number).encode() for number in range(50)}


async def test_each_packet_goes_to_one_of_those_who_wait_in_their_order(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        await acquainted(client, remote)
        tasks = await spawn_in_order(*(client.recv_packet() for _ in range(3)))
        tasks[1].cancel()
        for data in (b"first", b"second"):
            remote.send(data)
        assert await tasks[0].result() == "first"
        assert await tasks[2].result() == "second"


async def test_cancelled_reception_loses_nothing(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        await acquainted(client, remote)
        for number in range(100):
            task = spawn(client.recv_packet())
            await settle()
            remote.send(str(number).encode())
            if number % 2:
                await settle()
            task.cancel()
            await task.wait()
            received = await (client.recv_packet() if task.cancelled() else task.result())
            assert received == str(number)


async def test_iterator_gives_what_is_there(remote: Remote) -> None:
    async with new_client(remote.address) as client:
        await acquainted(client, remote)
        for data in (b"a", b"b"):
            remote.send(data)
        assert [packet async for packet in client.iter_received_packets(timeout=0.05)] == ["a", "b"]


# ----------------------------------------------------------------------------------------------------------- closing


async def test_closing_wakes_who_receives(remote: Remote) -> None:
    client = new_client(remote.address)
    await client.wait_connected()
    tasks = [spawn(client.recv_packet()) for _ in range(2)]
    await sleep(0.01)
    await client.aclose()
    for task in tasks:
        with pytest.raises(ClientClosedError):
            await task.result()


async def test_closed_client_refuses_everything(remote: Remote) -> None:
    client = new_client(remote.address)
    await client.wait_connected()
    await client.aclose()
    await client.aclose()
    assert client.is_closing()
    for attempt in (client.send_packet("x"), client.recv_packet(), client.wait_connected()):
        with pytest.raises(ClientClosedError):
            await attempt
    for get_address in (client.get_local_address, client.get_remote_address):
        with pytest.raises(ClientClosedError):
            get_address()


async def test_forgotten_client_warns(remote: Remote) -> None:
    client = new_client(remote.address)
    await client.wait_connected()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
        texts = " ".join(str(warning.message) for warning in caught)
        caught.clear()  # a warning keeps its source alive, and what that has below it, which warns as well
        gc.collect()
        caught.clear()
    assert "unclosed client" in texts


# ------------------------------------------------------------------------------------------------------------- drops


async def test_a_client_counts_the_datagrams_that_it_has_dropped(remote: Remote) -> None:
    client = new_client(remote.address)
    assert client.dropped_datagrams == 0
    async with client:
        await acquainted(client, remote)
        for number in range(5000):
            remote.send(b"%d" % number + bytes(1000))
            if number % 50 == 0:
                await settle()
        await settle()
        dropped = client.dropped_datagrams
        assert 0 < dropped < 5000
        for _ in range(5000 - dropped):
            await client.recv_packet()
        remote.send(b"the next one")
        assert await client.recv_packet() == "the next one"
    assert client.dropped_datagrams == dropped
