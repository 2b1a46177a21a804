"""Unix datagram sockets: endpoints and listeners, with ancillary data."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.support.background import Queue, spawn
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message
from tests.support.platforms import needs_abstract_names

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener, AsyncDatagramTransport
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True

Listener: TypeAlias = AsyncDatagramListener[Any]


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[socket.socket]:
    """A blocking socket without any of our code."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(str(tmp_path / "peer"))
        yield sock


@pytest.fixture
@contextlib.asynccontextmanager
async def transport(
    backend: AsyncBackend, tmp_path: Path, peer: socket.socket
) -> AsyncIterator[AsyncDatagramTransport]:
    """Connected to `peer`, which is connected to it."""
    async with all_closed():
        local_path = str(tmp_path / "transport")
        async with await backend.create_unix_datagram_endpoint(peer.getsockname(), local_path=local_path) as transport:
            peer.connect(local_path)
            yield transport


@pytest.fixture
@contextlib.asynccontextmanager
async def listener(backend: AsyncBackend, path: str, peer: socket.socket) -> AsyncIterator[Listener]:
    """`peer` is connected to it."""
    async with all_closed(), await backend.create_unix_datagram_listener(path) as listener:
        peer.connect(path)
        yield listener


# --- endpoints


async def test_datagrams_go_both_ways(transport: AsyncDatagramTransport, peer: socket.socket) -> None:
    for datagram in (b"one", b"", b"two" * 1000):
        peer.send(datagram)
        assert await transport.recv() == datagram
        await transport.send(datagram)
        assert peer.recv(10_000) == datagram


async def test_files_go_both_ways(transport: AsyncDatagramTransport, peer: socket.socket) -> None:
    with Gift("there") as there, Gift("back") as back:
        await transport.send_with_ancillary(b"take this", iter(there.raw))
        assert receive_message(peer) == (b"take this", "there")
        send_message(peer, b"and this", back)
        data, messages = await transport.recv_with_ancillary(1024)
        assert data == b"and this"
        assert received_text(messages) == "back"
    peer.send(b"nothing")
    assert await transport.recv_with_ancillary(1024) == (b"nothing", [])


async def test_a_sender_waits_while_the_queue_of_its_peer_is_full(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    sent = 0
    with backend.move_on_after(0.05) as scope:
        while sent < 100_000:
            await transport.send(b"%d" % sent)
            sent += 1
    assert scope.cancelled_caught()
    async with backend.create_task_group() as group:
        group.start_soon(transport.send, b"last")
        group.start_soon(transport.send, b"last")
        received = [await backend.run_in_thread(peer.recv, 100) for _ in range(sent + 2)]
    assert received == [b"%d" % i for i in range(sent)] + [b"last"] * 2


async def test_a_path_where_nobody_is_is_a_plain_oserror(backend: AsyncBackend, path: str) -> None:
    async with all_closed():
        with pytest.raises(FileNotFoundError, match=path):
            await backend.create_unix_datagram_endpoint(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
            gone.bind(path)
        with pytest.raises(ConnectionRefusedError):
            await backend.create_unix_datagram_endpoint(path)


async def test_a_local_path_that_is_taken_is_left_alone(backend: AsyncBackend, path: str, peer: socket.socket) -> None:
    Path(path).write_text("precious")
    async with all_closed():
        with pytest.raises(OSError) as info:
            await backend.create_unix_datagram_endpoint(peer.getsockname(), local_path=path)
    assert info.value.errno == errno.EADDRINUSE
    assert Path(path).read_text() == "precious"


@needs_abstract_names
async def test_an_automatic_name_can_be_answered(backend: AsyncBackend, peer: socket.socket) -> None:
    async with await backend.create_unix_datagram_endpoint(peer.getsockname(), local_path="") as transport:
        await transport.send(b"hello")
        data, address = peer.recvfrom(100)
        assert address.startswith(b"\0")
        peer.sendto(data, address)
        assert await transport.recv() == b"hello"


async def test_a_connected_socket_is_wrapped_with_its_ancillary_data(backend: AsyncBackend) -> None:
    ours, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with peer, Gift() as gift:
        async with await backend.wrap_connected_datagram_socket(ours) as transport:
            await transport.send_with_ancillary(b"x", gift.raw)
            assert receive_message(peer) == (b"x", "gift")
    assert ours.fileno() == -1


async def test_a_closed_transport_says_so(transport: AsyncDatagramTransport) -> None:
    receiving = spawn(transport.recv())
    await transport.aclose()
    for operation in (receiving.result(), transport.recv(), transport.recv_with_ancillary(100), transport.send(b"")):
        with pytest.raises(OSError) as info:
            await operation
        assert info.value.errno == errno.EBADF


# --- listeners


async def test_a_listener_answers_who_has_a_name(
    listener: Listener, peer: socket.socket, backend: AsyncBackend
) -> None:
    async def echo(data: bytes, address: Any) -> None:
        await listener.send_to(data, address)

    spawn(listener.serve(echo))
    for datagram in (b"one", b"", b"two"):
        peer.send(datagram)
        assert await backend.run_in_thread(peer.recv, 100) == datagram


async def test_a_listener_gets_files_and_sends_some(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    seen: Queue[tuple[bytes, list[Any], Any]] = Queue(backend)

    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        seen.put_nowait((data, ancillary_data, address))

    spawn(listener.serve_with_ancillary(handler, 1024))
    with Gift("there") as there, Gift("back") as back:
        send_message(peer, b"take this", there)
        data, messages, address = await seen.get()
        assert (data, address) == (b"take this", peer.getsockname())
        assert received_text(messages) == "there"
        await listener.send_with_ancillary_to(b"and this", iter(back.raw), address)
        assert receive_message(peer) == (b"and this", "back")
    peer.send(b"nothing")
    assert await seen.get() == (b"nothing", [], peer.getsockname())


async def test_who_has_no_name_is_none(backend: AsyncBackend, listener: Listener, path: str) -> None:
    seen: Queue[Any] = Queue(backend)

    async def handler(data: bytes, address: Any) -> None:
        seen.put_nowait((data, address))

    spawn(listener.serve(handler))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(b"guess who", path)
        assert await seen.get() == (b"guess who", None)


async def test_tasks_are_started_in_the_order_of_reception(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    seen: list[bytes] = []

    async def handler(data: bytes, address: Any) -> None:
        seen.append(data)

    spawn(listener.serve(handler))
    sent = [b"%d" % i for i in range(200)]
    for datagram in sent:
        await backend.run_in_thread(peer.send, datagram)
    while len(seen) < len(sent):
        await backend.sleep(0.001)
    assert seen == sent


@pytest.mark.parametrize("mode", [0o600, 0o666])
async def test_the_file_of_a_listener_gets_the_mode_that_is_asked_for_and_stays(
    backend: AsyncBackend, path: str, mode: int
) -> None:
    async with await backend.create_unix_datagram_listener(path, mode=mode) as listener:
        assert stat.S_IMODE(os.stat(path).st_mode) == mode
        assert listener.extra(SocketAttribute.sockname) == path
    assert os.path.exists(path)


async def test_closing_ends_serve_and_leaves_nothing_usable(listener: Listener) -> None:
    async def handler(data: bytes, address: Any) -> None:
        pytest.fail("nothing was sent")

    serving = spawn(listener.serve(handler))
    await listener.aclose()
    for operation in (serving.result(), listener.serve(handler), listener.send_to(b"", "somewhere")):
        with pytest.raises(OSError) as info:
            await operation
        assert info.value.errno == errno.EBADF


async def test_who_has_no_name_cannot_be_answered(listener: Listener) -> None:
    for nobody in (None, "", b""):
        for answer in (listener.send_to(b"x", nobody), listener.send_with_ancillary_to(b"x", [], nobody)):
            with pytest.raises(OSError) as info:
                await answer
            assert info.value.errno == errno.ENOTCONN


async def test_an_answer_to_somebody_gone_is_an_error_of_its_sender_alone(
    backend: AsyncBackend, listener: Listener, path: str, peer: socket.socket
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(path + ".gone")
    with pytest.raises(ConnectionRefusedError):
        await listener.send_to(b"x", path + ".gone")
    os.unlink(path + ".gone")
    with pytest.raises(FileNotFoundError):
        await listener.send_with_ancillary_to(b"x", [], path + ".gone")
    await listener.send_to(b"still here", peer.getsockname())
    assert await backend.run_in_thread(peer.recv, 100) == b"still here"


async def test_answers_wait_while_the_queue_of_their_receiver_is_full(
    backend: AsyncBackend, listener: Listener, peer: socket.socket, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow, Gift() as gift:
        slow.bind(str(tmp_path / "slow"))
        slow.settimeout(10)
        address = slow.getsockname()
        sent = 0
        with backend.move_on_after(0.05) as scope:
            while sent < 100_000:
                await listener.send_to(b"%d" % sent, address)
                sent += 1
        assert scope.cancelled_caught()
        await listener.send_to(b"others go on", peer.getsockname())
        assert peer.recv(100) == b"others go on"
        async with backend.create_task_group() as group:
            group.start_soon(listener.send_to, b"plain", address)
            group.start_soon(listener.send_with_ancillary_to, b"file", iter(gift.raw), address)
            received = [await backend.run_in_thread(receive_message, slow) for _ in range(sent + 2)]
    assert received[:sent] == [(b"%d" % i, None) for i in range(sent)]
    assert sorted(received[sent:]) == [(b"file", "gift"), (b"plain", None)]


async def test_waiting_for_a_full_queue_keeps_nobody_busy(
    backend: AsyncBackend, listener: Listener, tmp_path: Path
) -> None:
    """The socket that sends can be written all the time: it is the one that receives that has no room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
        slow.bind(str(tmp_path / "slow"))
        before = time.thread_time()
        with backend.move_on_after(0.3) as scope:
            while True:
                await listener.send_to(b"x", slow.getsockname())
        assert scope.cancelled_caught()
        assert time.thread_time() - before < 0.1


async def test_the_path_of_a_dead_listener_is_taken_over(backend: AsyncBackend, path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(path)
    inode = os.stat(path).st_ino
    os.link(path, path + ".old")  # so that the number of the inode is not used again
    async with await backend.create_unix_datagram_listener(path, mode=0o600):
        assert os.stat(path).st_ino != inode
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@pytest.mark.parametrize("kind", ["file", "listener", "connected socket", "stream listener"])
async def test_whatever_else_is_there_is_left_alone(
    backend: AsyncBackend, path: str, peer: socket.socket, kind: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if "stream" in kind else socket.SOCK_DGRAM) as other:
        if kind == "file":
            Path(path).write_text("precious")
        else:
            other.bind(path)
        if kind == "connected socket":
            other.connect(peer.getsockname())
        inode = os.stat(path).st_ino
        async with all_closed():
            with pytest.raises(OSError, match=path) as info:
                await backend.create_unix_datagram_listener(path)
        assert info.value.errno == errno.EADDRINUSE
        assert os.stat(path).st_ino == inode
