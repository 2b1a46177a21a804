"""Ancillary data of Unix datagrams: each goes with its datagram, and none is lost or left open."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.support.background import Queue
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener, AsyncDatagramTransport
from easynetwork.lowlevel.socket import SCMRights, SocketAncillary, SocketAttribute

EVERY_BACKEND = True

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what others do with credentials differs")

Listener: TypeAlias = AsyncDatagramListener[Any]
Message: TypeAlias = tuple[bytes, Any, Any]

ROOM = socket.CMSG_SPACE(10 * array("i").itemsize)


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
    """Connected to `peer`, which is connected to it. In the end, nothing is left open."""
    async with all_closed():
        local_path = str(tmp_path / "transport")
        async with await backend.create_unix_datagram_endpoint(peer.getsockname(), local_path=local_path) as transport:
            peer.connect(local_path)
            yield transport


@pytest.fixture
@contextlib.asynccontextmanager
async def listener(backend: AsyncBackend, tmp_path: Path, peer: socket.socket) -> AsyncIterator[Listener]:
    """`peer` is connected to it. In the end, nothing is left open."""
    async with all_closed(), await backend.create_unix_datagram_listener(str(tmp_path / "listener")) as listener:
        peer.connect(str(tmp_path / "listener"))
        yield listener


@contextlib.asynccontextmanager
async def received_by(listener: Listener, ancillary_bufsize: int = ROOM) -> AsyncIterator[Queue[Message]]:
    """Serve meanwhile. What has been received is in the queue."""
    queue: Queue[Message] = Queue(listener.backend())

    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        queue.put_nowait((data, ancillary_data, address))

    async def serve() -> None:
        with scope:
            await listener.serve_with_ancillary(handler, ancillary_bufsize)

    scope = listener.backend().open_cancel_scope()
    async with listener.backend().create_task_group() as tasks:
        tasks.start_soon(serve)
        try:
            yield queue
        finally:
            scope.cancel()


def received_fds(messages: Any) -> list[int]:
    ancillary = SocketAncillary()
    ancillary.update_from_raw(messages)
    return list(ancillary.iter_fds())


def send_many(peer: socket.socket, gift: Gift, count: int) -> None:
    many = SocketAncillary()
    many.add_fds([gift.fd] * count)
    peer.sendmsg([b"many"], many.as_raw())


# --- endpoints


async def test_files_wait_for_who_asks_for_them(transport: AsyncDatagramTransport, peer: socket.socket) -> None:
    for text in ("one", "two"):
        with Gift(text) as gift:
            send_message(peer, text.encode(), gift)
    peer.send(b"three")
    for text in ("one", "two"):
        data, messages = await transport.recv_with_ancillary(ROOM)
        assert (data, received_text(messages)) == (text.encode(), text)
    assert await transport.recv_with_ancillary(ROOM) == (b"three", [])


async def test_files_that_nobody_asks_for_are_closed(transport: AsyncDatagramTransport, peer: socket.socket) -> None:
    async with all_closed():
        with Gift() as gift:
            send_message(peer, b"plain", gift)
        assert await transport.recv() == b"plain"
        with Gift() as gift:
            send_message(peer, b"never received", gift)


async def test_a_cancelled_reception_loses_neither_datagram_nor_files(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    async def receive() -> None:
        with scope:
            received.append(await transport.recv_with_ancillary(ROOM))

    for sleep in (0.0, 0.001):
        received: list[tuple[bytes, Any]] = []
        scope = backend.open_cancel_scope()
        async with backend.create_task_group() as tasks:
            tasks.start_soon(receive)
            await backend.sleep(0.001)
            with Gift("kept") as gift:
                send_message(peer, b"datagram", gift)
            await backend.sleep(sleep)
            scope.cancel()
        if not received:
            received.append(await transport.recv_with_ancillary(ROOM))
        [(data, messages)] = received
        assert (data, received_text(messages)) == (b"datagram", "kept")


async def test_files_without_room_are_closed_all_of_them(
    transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    async with all_closed():
        with Gift() as gift:
            send_many(peer, gift, 5)
            send_many(peer, gift, 5)
        for room in (socket.CMSG_LEN(2 * array("i").itemsize), 1):
            with pytest.raises(OSError) as exc_info:
                await transport.recv_with_ancillary(room)
            assert exc_info.value.errno == errno.EMSGSIZE
            assert await transport.recv_with_ancillary(room) == (b"many", [])


async def test_an_empty_datagram_carries_files_as_well(transport: AsyncDatagramTransport, peer: socket.socket) -> None:
    with Gift() as gift:
        await transport.send_with_ancillary(b"", gift.raw)
        assert receive_message(peer) == (b"", "gift")
        send_message(peer, b"", gift)
        data, messages = await transport.recv_with_ancillary(ROOM)
        [fd] = received_fds(messages)
        os.close(fd)
        assert data == b""


async def test_sending_with_files_waits_while_the_queue_of_the_peer_is_full(
    backend: AsyncBackend, transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    sent = 0
    with backend.move_on_after(0.05) as scope:
        while sent < 100_000:
            await transport.send(b"%d" % sent)
            sent += 1
    assert scope.cancelled_caught()
    async with backend.create_task_group() as group:
        with Gift("late") as gift:
            group.start_soon(transport.send_with_ancillary, b"file", iter(gift.raw))
            received = [await backend.run_in_thread(receive_message, peer) for _ in range(sent + 1)]
    assert received == [*((b"%d" % i, None) for i in range(sent)), (b"file", "late")]


async def test_an_invalid_descriptor_is_an_error_and_nothing_is_sent(
    transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    with Gift() as gift:
        closed = gift.raw
    with pytest.raises(OSError) as info:
        await transport.send_with_ancillary(b"x", closed)
    assert info.value.errno == errno.EBADF
    assert not transport.is_closing()
    await transport.send(b"fine")
    assert peer.recv(100) == b"fine"


async def test_a_datagram_too_large_is_an_error_of_its_own(
    transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    with Gift() as gift, pytest.raises(OSError) as info:
        await transport.send_with_ancillary(bytes(1 << 22), gift.raw)
    assert info.value.errno == errno.EMSGSIZE
    await transport.send(b"fine")
    assert peer.recv(100) == b"fine"


@LINUX
async def test_credentials_come_with_what_is_sent_once_they_are_asked_for(
    transport: AsyncDatagramTransport, peer: socket.socket
) -> None:
    from easynetwork.lowlevel.socket import SCMCredentials, SocketCredential

    myself = SocketCredential(os.getpid(), os.geteuid(), os.getegid())
    transport.extra(SocketAttribute.socket).setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    peer.send(b"unasked")
    with Gift() as gift:
        explicit = SocketAncillary()
        explicit.add_fds([gift.fd])
        explicit.add_creds([SocketCredential(0, os.geteuid(), os.getegid())])
        peer.sendmsg([b"explicit"], explicit.as_raw())
    for expected in (b"unasked", b"explicit"):
        data, messages = await transport.recv_with_ancillary(1024)
        assert data == expected
        ancillary = SocketAncillary()
        ancillary.update_from_raw(messages)
        for message in ancillary.messages():
            match message:
                case SCMCredentials(credentials):
                    assert list(credentials) == [myself]
                case SCMRights(fds):
                    for fd in fds:
                        os.close(fd)
        assert len(list(ancillary.messages())) == (1 if data == b"unasked" else 2)


# --- listeners


async def test_what_came_before_anybody_served_is_not_lost(listener: Listener, peer: socket.socket) -> None:
    with Gift("early") as gift:
        send_message(peer, b"first", gift)
    async with received_by(listener) as queue:
        data, messages, address = await queue.get()
    assert (data, received_text(messages), address) == (b"first", "early", peer.getsockname())


async def test_each_datagram_has_its_own_files(listener: Listener, peer: socket.socket) -> None:
    async with received_by(listener) as queue:
        with Gift("one") as one, Gift("two") as two:
            send_message(peer, b"one", one)
            peer.send(b"none")
            send_message(peer, b"two", two)
        received = [await queue.get() for _ in range(3)]
    assert [(data, received_text(messages) if messages else messages) for data, messages, _ in received] == [
        (b"one", "one"),
        (b"none", []),
        (b"two", "two"),
    ]


async def test_who_has_no_name_may_bring_files(listener: Listener, tmp_path: Path) -> None:
    async with received_by(listener) as queue:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless, Gift() as gift:
            nameless.connect(str(tmp_path / "listener"))
            send_message(nameless, b"guess who", gift)
            data, messages, address = await queue.get()
    assert (data, received_text(messages), address) == (b"guess who", "gift", None)


async def test_serving_without_ancillary_data_closes_the_files(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    queue: Queue[bytes] = Queue(backend)

    async def handler(data: bytes, address: Any) -> None:
        queue.put_nowait(data)

    async def serve() -> None:
        with scope:
            await listener.serve(handler)

    scope = backend.open_cancel_scope()
    async with all_closed(), backend.create_task_group() as tasks:
        tasks.start_soon(serve)
        with Gift() as gift:
            send_message(peer, b"plain", gift)
        assert await queue.get() == b"plain"
        scope.cancel()


async def test_files_without_room_at_a_listener_are_closed(listener: Listener, peer: socket.socket) -> None:
    async with received_by(listener, socket.CMSG_LEN(2 * array("i").itemsize)) as queue:
        with Gift() as gift:
            send_many(peer, gift, 5)
        data, messages, _ = await queue.get()
        assert data == b"many"
        with pytest.raises(OSError) as exc_info:
            received_fds(messages)
        assert exc_info.value.errno == errno.EMSGSIZE


async def test_only_one_serves_with_or_without_ancillary_data(listener: Listener, peer: socket.socket) -> None:
    async def handler(*args: Any) -> None:
        pytest.fail("nothing is served here")

    async with received_by(listener) as queue:
        peer.send(b"serving")
        assert (await queue.get())[0] == b"serving"
        with pytest.raises(BusyResourceError):
            await listener.serve(handler)
        with pytest.raises(BusyResourceError):
            await listener.serve_with_ancillary(handler, ROOM)


async def test_closing_ends_serve_with_ancillary(backend: AsyncBackend, listener: Listener) -> None:
    async def handler(*args: Any) -> None:
        pytest.fail("nothing was sent")

    async def close() -> None:
        await backend.sleep(0.001)
        await listener.aclose()

    async with backend.create_task_group() as tasks:
        tasks.start_soon(close)
        for operation in (
            listener.serve_with_ancillary(handler, ROOM),
            listener.serve_with_ancillary(handler, ROOM),
            listener.send_with_ancillary_to(b"x", [], "somewhere"),
        ):
            with pytest.raises(OSError) as info:
                await operation
            assert info.value.errno == errno.EBADF
