"""The asynchronous client of Unix datagram sockets, against plain sockets. What it shares with UDP is tested there."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import socket
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message
from tests.support.platforms import needs_abstract_names

from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.exceptions import ClientClosedError, DatagramProtocolParseError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.socket import SocketAncillary, SocketProxy, UnixSocketAddress
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

Client = AsyncUnixDatagramClient[str, str]


class Remote:
    """A plain socket that knows the sender of the last datagram."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.name: Any = sock.getsockname()
        self.client: Any = None

    def receive(self) -> bytes:
        data, self.client = self.sock.recvfrom(65536)
        return data

    def send(self, *datagrams: bytes) -> None:
        for data in datagrams:
            self.sock.sendto(data, self.client)

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "remote"))
        sock.settimeout(10)
        yield Remote(sock)


@pytest.fixture
@contextlib.asynccontextmanager
async def client(remote: Remote, tmp_path: Path) -> AsyncIterator[Client]:
    """Connected, and `remote` knows it. In the end, nothing is left open."""
    async with all_closed(), new_client(remote.name, local_path=tmp_path / "client") as client:
        remote.client = str(tmp_path / "client")
        yield client


def new_client(arg: Any, protocol: Any = None, **options: Any) -> Client:
    return AsyncUnixDatagramClient(arg, protocol or DatagramProtocol(StringLineSerializer()), **options)


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("local_path", [None, ""])
async def test_a_name_is_required_where_the_system_chooses_none(
    local_path: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ValueError, match="local_path"):
        new_client("path", local_path=local_path)


async def test_a_socket_without_a_name_is_refused_and_closed() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs, pytest.raises(ValueError, match="name"):
        new_client(ours)
    assert ours.fileno() == -1


# -------------------------------------------------------------------------------------------------------- connecting


def named_socket(remote: Remote, folder: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(folder / "named"))
    sock.connect(remote.name)
    return sock


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, UnixSocketAddress.from_pathname])
async def test_it_talks_to_any_kind_of_path_under_any_kind_of_name(remote: Remote, tmp_path: Path, kind: Any) -> None:
    path = str(tmp_path / "client")
    async with new_client(kind(remote.name), local_path=kind(path)) as client:
        assert client.is_connected()
        assert client.get_peer_name() == UnixSocketAddress.from_pathname(remote.name)
        assert client.get_local_name() == UnixSocketAddress.from_pathname(path)
        await client.send_packet("question")
        assert remote.receive() == b"question"
        assert remote.client == path
        remote.send(b"answer")
        assert await client.recv_packet() == "answer"
    assert os.path.exists(path)


@needs_abstract_names
@pytest.mark.parametrize("options", [{}, {"local_path": None}, {"local_path": ""}])
async def test_without_a_local_path_the_system_chooses_a_name_that_can_be_answered(
    remote: Remote, options: dict[str, Any]
) -> None:
    async with new_client(remote.name, **options) as client:
        assert client.get_local_name().as_abstract_name()
        await client.send_packet("question")
        assert remote.receive() == b"question"
        remote.send(b"answer")
        assert await client.recv_packet() == "answer"


@needs_abstract_names
async def test_it_talks_to_an_abstract_name(tmp_path: Path) -> None:
    address = UnixSocketAddress.from_abstract_name(str(tmp_path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.as_raw())
        async with new_client(address) as client:
            assert client.get_peer_name() == address
            await client.send_packet("hello")
            assert sock.recv(100) == b"hello"


async def test_adopted_socket_is_used_and_owned(remote: Remote, tmp_path: Path) -> None:
    sock = named_socket(remote, tmp_path)
    async with new_client(sock) as client:
        await client.send_packet("hello")
        assert remote.receive() == b"hello"
        assert not sock.getblocking()
    assert sock.fileno() == -1


async def test_adopted_socket_is_closed_with_a_client_that_was_never_used(remote: Remote, tmp_path: Path) -> None:
    sock = named_socket(remote, tmp_path)
    await new_client(sock).aclose()
    assert sock.fileno() == -1


async def test_a_failure_is_a_plain_oserror_and_may_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "remote"
    async with all_closed():
        client = new_client(path)
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await client.wait_connected()
            assert not client.is_connected()
            assert not client.is_closing()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(path))
            await client.send_packet("hello")
            assert sock.recv(100) == b"hello"
            await client.aclose()


async def test_a_local_path_that_is_taken_is_left_alone(remote: Remote) -> None:
    client = new_client(remote.name, local_path=remote.name)
    with pytest.raises(OSError, match=remote.name) as info:
        await client.wait_connected()
    assert info.value.errno == errno.EADDRINUSE
    await client.aclose()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"still there", remote.name)
    assert remote.receive() == b"still there"


async def test_facts_are_not_known_before_it_is_connected_nor_after_it_is_closed(remote: Remote) -> None:
    client = new_client(remote.name)
    facts = (client.get_local_name, client.get_peer_name)
    for fact in facts:
        with pytest.raises(OSError) as info:
            fact()
        assert info.value.errno == errno.ENOTCONN
    with pytest.raises(AttributeError):
        _ = client.socket
    await client.wait_connected()
    sock = client.socket
    assert isinstance(sock, SocketProxy)
    assert client.socket is sock
    await client.aclose()
    for fact in facts:
        with pytest.raises(ClientClosedError):
            fact()
    assert sock.fileno() == -1


# --------------------------------------------------------------------------------------------- sending and receiving


async def test_one_packet_is_one_datagram(client: Client, remote: Remote) -> None:
    for text in ("a", "", "b" * 1000):
        await client.send_packet(text)
        assert remote.receive() == text.encode()
    remote.send(b"x", b"", b"y" * 1000)
    assert [await client.recv_packet() for _ in range(3)] == ["x", "", "y" * 1000]


async def test_invalid_datagram_is_an_error_and_the_next_one_is_received(client: Client, remote: Remote) -> None:
    remote.send(b"\xff", b"fine")
    with pytest.raises(DatagramProtocolParseError):
        await client.recv_packet()
    assert await client.recv_packet() == "fine"


@pytest.mark.parametrize("with_files", [False, True], ids=["plain", "files"])
async def test_packet_that_cannot_be_sent_leaves_the_client_usable(
    client: Client, remote: Remote, with_files: bool
) -> None:
    with Gift() as gift:
        ancillary = gift.ancillary if with_files else None
        with pytest.raises(RuntimeError):
            await client.send_packet("é", ancillary_data=ancillary)
        with pytest.raises(OSError) as info:
            await client.send_packet("x" * (1 << 22), ancillary_data=ancillary)
        assert info.value.errno == errno.EMSGSIZE
        await client.send_packet("e", ancillary_data=ancillary)
    assert receive_message(remote.sock) == (b"e", "gift" if with_files else None)


@pytest.mark.parametrize("with_files", [False, True], ids=["plain", "files"])
async def test_sending_tells_that_nobody_is_there_any_more(remote: Remote, with_files: bool) -> None:
    async with new_client(remote.name) as client:
        remote.close()
        with Gift() as gift, pytest.raises(ConnectionRefusedError):
            await client.send_packet("x", ancillary_data=gift.ancillary if with_files else None)
        assert not client.is_closing()


async def test_sending_waits_while_the_queue_of_the_peer_is_full(
    backend: AsyncBackend, client: Client, remote: Remote
) -> None:
    sent = 0
    with backend.move_on_after(0.05) as scope:
        while sent < 100_000:
            await client.send_packet(str(sent))
            sent += 1
    assert scope.cancelled_caught()
    async with backend.create_task_group() as tasks:
        tasks.start_soon(client.send_packet, "last")
        received = [await backend.run_in_thread(remote.receive) for _ in range(sent + 1)]
    assert received == [*(str(number).encode() for number in range(sent)), b"last"]


async def test_packets_of_several_tasks_all_arrive(backend: AsyncBackend, client: Client, remote: Remote) -> None:
    with Gift() as gift:
        sends = [client.send_packet("0", ancillary_data=gift.ancillary)]
        sends += [client.send_packet(str(number)) for number in range(1, 9)]
        _ = await backend.gather(*sends)
    assert sorted(remote.receive() for _ in range(9)) == [str(number).encode() for number in range(9)]


@pytest.mark.parametrize("asks", [False, True], ids=["plain", "files"])
async def test_cancelled_reception_loses_nothing(
    backend: AsyncBackend, client: Client, remote: Remote, asks: bool
) -> None:
    received: list[str] = []

    async def receive() -> None:
        with scope:
            received.append(await client.recv_packet(ancillary_data=SocketAncillary() if asks else None))

    for number in range(50):
        scope = backend.open_cancel_scope()
        async with backend.create_task_group() as tasks:
            tasks.start_soon(receive)
            await backend.coro_yield()
            remote.send(str(number).encode())
            if number % 2:
                await backend.coro_yield()
            scope.cancel()
        if len(received) == number:
            received.append(await client.recv_packet())
    assert received == [str(number) for number in range(50)]


async def test_iterator_gives_what_is_there(client: Client, remote: Remote) -> None:
    remote.send(b"a", b"b")
    assert [packet async for packet in client.iter_received_packets(timeout=0.05)] == ["a", "b"]


# ----------------------------------------------------------------------------------------------------- ancillary data


async def test_files_are_sent_with_a_packet_and_stay_in_the_container(client: Client, remote: Remote) -> None:
    with Gift("text") as gift:
        ancillary = gift.ancillary
        await client.send_packet("packet", ancillary_data=ancillary)
        assert list(ancillary.iter_fds()) == [gift.fd]
    assert receive_message(remote.sock) == (b"packet", "text")
    await client.send_packet("packet", ancillary_data=SocketAncillary())
    assert receive_message(remote.sock) == (b"packet", None)


async def test_received_files_are_added_to_the_container(client: Client, remote: Remote) -> None:
    remote.sock.connect(remote.client)
    received = SocketAncillary()
    for text in ("one", "two"):
        with Gift(text) as gift:
            send_message(remote.sock, text.encode(), gift)
        assert await client.recv_packet(ancillary_data=received) == text
    remote.send(b"three")
    assert await client.recv_packet(ancillary_data=received) == "three"
    fds = list(received.iter_fds())
    assert [os.read(fd, 10) for fd in fds] == [b"one", b"two"]
    for fd in fds:
        os.close(fd)


async def test_files_come_with_a_datagram_that_is_no_packet(client: Client, remote: Remote) -> None:
    remote.sock.connect(remote.client)
    received = SocketAncillary()
    with Gift("text") as gift:
        send_message(remote.sock, b"\xff", gift)
    with pytest.raises(DatagramProtocolParseError):
        await client.recv_packet(ancillary_data=received)
    assert received_text(received) == "text"


async def test_files_without_a_container_are_closed(client: Client, remote: Remote) -> None:
    remote.sock.connect(remote.client)
    async with all_closed():
        with Gift() as gift:
            send_message(remote.sock, b"packet", gift)
        assert await client.recv_packet() == "packet"


async def test_too_little_room_for_ancillary_data_is_an_error_and_the_packet_is_kept(
    client: Client, remote: Remote
) -> None:
    remote.sock.connect(remote.client)
    received = SocketAncillary()
    with Gift() as gift:
        many = SocketAncillary()
        many.add_fds([gift.fd] * 5)
        remote.sock.sendmsg([b"packet"], many.as_raw())
    with pytest.raises(OSError) as exc_info:
        await client.recv_packet(ancillary_data=received, ancillary_bufsize=socket.CMSG_LEN(8))
    assert exc_info.value.errno == errno.EMSGSIZE
    assert not received.as_raw()
    assert await client.recv_packet(ancillary_data=received) == "packet"
    assert not received.as_raw()


@pytest.mark.parametrize("value", [0, -1, 1.5])
async def test_room_must_be_a_strictly_positive_integer(client: Client, value: Any) -> None:
    with pytest.raises(ValueError, match="ancillary_bufsize"):
        await client.recv_packet(ancillary_data=SocketAncillary(), ancillary_bufsize=value)


async def test_room_without_a_container_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="ancillary_data"):
        await client.recv_packet(ancillary_bufsize=100)


# ----------------------------------------------------------------------------------------------------------- closing


async def test_closing_wakes_who_receives(backend: AsyncBackend, client: Client) -> None:
    told = 0

    async def receive(ancillary_data: SocketAncillary | None) -> None:
        nonlocal told
        with pytest.raises(ClientClosedError):
            await client.recv_packet(ancillary_data=ancillary_data)
        told += 1

    async with backend.create_task_group() as tasks:
        for ancillary_data in (None, SocketAncillary()):
            tasks.start_soon(receive, ancillary_data)
        await backend.sleep(0.01)
        await client.aclose()
    assert told == 2


@pytest.mark.parametrize("with_files", [False, True], ids=["plain", "files"])
async def test_closing_gives_up_who_waits_for_room_if_it_is_cancelled(
    backend: AsyncBackend, client: Client, with_files: bool
) -> None:
    ended = backend.create_event()

    async def flood() -> None:
        with Gift() as gift, pytest.raises(ClientClosedError):
            while True:
                await client.send_packet("x", ancillary_data=gift.ancillary if with_files else None)
        ended.set()

    async with backend.create_task_group() as tasks:
        tasks.start_soon(flood)
        await backend.sleep(0.01)
        with pytest.raises(TimeoutError), backend.timeout(0.01):
            await client.aclose()
        assert client.is_closing()
        await ended.wait()


async def test_closed_client_refuses_everything(client: Client) -> None:
    await client.aclose()
    await client.aclose()
    assert client.is_closing()
    assert client.is_connected()
    with Gift() as gift:
        for attempt in (
            client.send_packet("x"),
            client.send_packet("x", ancillary_data=gift.ancillary),
            client.recv_packet(),
            client.recv_packet(ancillary_data=SocketAncillary()),
            client.wait_connected(),
        ):
            with pytest.raises(ClientClosedError):
                await attempt


async def test_forgotten_client_warns(remote: Remote) -> None:
    client = new_client(remote.name)
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
