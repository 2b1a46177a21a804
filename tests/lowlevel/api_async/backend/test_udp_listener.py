"""Listening UDP sockets. What every datagram listener promises, tests/conformance checks on UDP too."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import pytest
from tests.support.background import Queue, Running, settle, spawn, until
from tests.support.sockets import PATIENCE, udp_socket, unused_address

from easynetwork.exceptions import BusyResourceError, TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend._asyncio.datagram import udp_listener as asyncio_module
from easynetwork.lowlevel.api_async.backend._asyncio.datagram.udp_listener import AsyncioUDPListener
from easynetwork.lowlevel.api_async.backend._trio.backend import TrioBackend
from easynetwork.lowlevel.api_async.backend._trio.datagram import listener as trio_module
from easynetwork.lowlevel.api_async.backend._trio.datagram.listener import TrioDatagramListener
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True

Listener: TypeAlias = AsyncDatagramListener[tuple[Any, ...]]


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A blocking socket without any of our code."""
    with udp_socket() as sock:
        yield sock


@pytest.fixture
@contextlib.asynccontextmanager
async def listener(backend: AsyncBackend, peer: socket.socket) -> AsyncIterator[Listener]:
    """`peer` is connected to it."""
    [listener] = await backend.create_udp_listeners("127.0.0.1", 0)
    async with listener:
        peer.connect(listener.extra(SocketAttribute.sockname))
        yield listener


async def no_handler(data: bytes, address: Any) -> None:
    pytest.fail("nothing should have been received")


def ended_with(task: Running[Any], code: int) -> bool:
    return isinstance(task.error, OSError) and task.error.errno == code


# --- opening


async def test_all_sockets_are_closed_if_one_cannot_be_bound(backend: AsyncBackend, peer: socket.socket) -> None:
    port = peer.getsockname()[1]
    with pytest.raises(ExceptionGroup) as info:
        await backend.create_udp_listeners(["127.0.0.2", "127.0.0.1"], port)
    [error] = info.value.exceptions
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRINUSE
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.2", port))


@pytest.mark.parametrize("host", [None, ""])
async def test_no_host_means_all_interfaces(backend: AsyncBackend, host: Any) -> None:
    listeners = await backend.create_udp_listeners(host, 0)
    hosts = {listener.extra(SocketAttribute.sockname)[0] for listener in listeners}
    for listener in listeners:
        await listener.aclose()
    assert "0.0.0.0" in hosts
    assert hosts <= {"0.0.0.0", "::"}


@pytest.mark.parametrize("host", [["127.0.0.1", 3], 3])
async def test_bad_hosts_are_refused(backend: AsyncBackend, host: Any) -> None:
    with pytest.raises(TypeError):
        await backend.create_udp_listeners(host, 0)


async def test_a_port_can_be_shared(backend: AsyncBackend) -> None:
    [first] = await backend.create_udp_listeners("127.0.0.1", 0, reuse_port=True)
    async with first:
        [second] = await backend.create_udp_listeners(*first.extra(SocketAttribute.sockname), reuse_port=True)
        await second.aclose()


async def test_the_attributes_of_a_listener(backend: AsyncBackend, listener: Listener) -> None:
    assert listener.backend() is backend
    assert listener.extra(SocketAttribute.family) is socket.AF_INET
    assert listener.extra(SocketAttribute.socket).type == socket.SOCK_DGRAM
    with pytest.raises(TypedAttributeLookupError):
        listener.extra(SocketAttribute.peername)
    assert "127.0.0.1" in repr(listener)


# --- receiving


async def test_each_datagram_has_a_task_started_in_order_of_reception(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    """Also those that arrived before serving began, and empty ones."""
    sent = [b"%d" % i * (i % 3) for i in range(200)]
    received: list[tuple[bytes, Any]] = []
    tasks: set[object] = set()
    complete = backend.create_event()

    async def handler(data: bytes, address: Any) -> None:
        tasks.add(backend.get_current_task().coro)
        received.append((data, address))
        if len(received) == len(sent):
            complete.set()

    for datagram in sent[:100]:
        peer.send(datagram)
    serving = spawn(listener.serve(handler))
    await settle()
    for datagram in sent[100:]:
        peer.send(datagram)
    await complete.wait()
    serving.cancel()
    assert received == [(datagram, peer.getsockname()) for datagram in sent]
    assert len(tasks) == len(sent)


async def test_handlers_run_in_the_context_of_serve(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: Queue[str] = Queue(backend)

    async def handler(data: bytes, address: Any) -> None:
        seen.put_nowait(variable.get("unset"))
        variable.set("by a handler")

    async def serve() -> None:
        variable.set("by serve")
        await listener.serve(handler)

    serving = spawn(serve())
    for _ in range(3):
        peer.send(b"x")
        assert await seen.get() == "by serve"
    serving.cancel()


async def test_handlers_live_in_the_given_group(backend: AsyncBackend, listener: Listener, peer: socket.socket) -> None:
    started = backend.create_event()

    async def handler(data: bytes, address: Any) -> None:
        started.set()
        await backend.sleep(0.01)
        ended.append(data)

    ended: list[bytes] = []
    async with backend.create_task_group() as tasks:
        serving = spawn(listener.serve(handler, tasks))
        peer.send(b"x")
        await started.wait()
        serving.cancel()
        await serving.wait()
        assert ended == []
    assert ended == [b"x"]


async def test_a_failing_handler_of_a_private_group_ends_serve(listener: Listener, peer: socket.socket) -> None:
    async def handler(data: bytes, address: Any) -> None:
        raise LookupError(data)

    peer.send(b"x")
    with pytest.raises(ExceptionGroup) as info:
        await listener.serve(handler)
    assert [type(exc) for exc in info.value.exceptions] == [LookupError]


async def test_a_group_that_takes_no_tasks_ends_serve(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    async with backend.create_task_group() as tasks:
        pass
    peer.send(b"x")
    with pytest.raises(RuntimeError):
        await listener.serve(no_handler, tasks)


async def test_a_second_serve_is_refused(backend: AsyncBackend, listener: Listener) -> None:
    serving = spawn(listener.serve(no_handler))
    await settle()
    with pytest.raises(BusyResourceError):
        await listener.serve(no_handler)
    serving.cancel()
    await serving.wait()
    assert serving.cancelled()


async def test_a_listener_can_be_served_again_and_keeps_what_comes_in_between(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    received: Queue[bytes] = Queue(backend)

    async def handler(data: bytes, address: Any) -> None:
        received.put_nowait(data)

    for i in range(3):
        peer.send(b"%d" % i)
        serving = spawn(listener.serve(handler))
        assert await received.get() == b"%d" % i
        serving.cancel()
        await serving.wait()


async def test_a_flood_lets_others_run(backend: AsyncBackend, listener: Listener, peer: socket.socket) -> None:
    handled = 0
    handled_before_the_second_turn: int | None = None

    async def handler(data: bytes, address: Any) -> None:
        nonlocal handled
        handled += 1

    for _ in range(200):
        peer.send(b"x")
    serving = spawn(listener.serve(handler))
    while not handled:
        await backend.coro_yield()
    handled_before_the_second_turn = handled
    serving.cancel()
    assert handled_before_the_second_turn <= 2 * 64


async def test_ancillary_data_is_not_supported(listener: Listener) -> None:
    async def handler(data: bytes, ancillary_data: Any, address: Any) -> None:
        pytest.fail("nothing should have been received")

    with pytest.raises(UnsupportedOperation):
        await listener.serve_with_ancillary(handler, 1024)
    with pytest.raises(UnsupportedOperation):
        await listener.send_with_ancillary_to(b"", [], ("127.0.0.1", 1))


# --- what is lost


async def test_datagrams_that_the_system_has_dropped_are_counted_exactly(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    sent = 5000
    handled = 0

    async def handler(data: bytes, address: Any) -> None:
        nonlocal handled
        handled += 1

    assert listener.dropped_datagrams == 0
    for _ in range(sent):
        peer.send(bytes(1024))
    dropped = listener.dropped_datagrams
    assert 0 < dropped < sent
    serving = spawn(listener.serve(handler))
    while handled + dropped < sent:
        await backend.sleep(0.001)
    serving.cancel()
    await serving.wait()
    await listener.aclose()
    assert handled + listener.dropped_datagrams == sent


# --- errors that the network reports


def listener_on(backend: AsyncBackend, sock: socket.socket) -> Listener:
    sock.setblocking(False)
    if isinstance(backend, TrioBackend):
        return TrioDatagramListener(backend, sock)
    return AsyncioUDPListener(backend, sock)


async def test_an_error_while_receiving_is_a_warning_and_serving_goes_on(
    backend: AsyncBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """Linux reports refused datagrams only to sockets that are connected."""
    received: Queue[bytes] = Queue(backend)

    async def handler(data: bytes, address: Any) -> None:
        received.put_nowait(data)

    sock = socket.socket(type=socket.SOCK_DGRAM)
    with socket.socket(type=socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        sock.connect(address := nobody.getsockname())
    async with listener_on(backend, sock) as listener:
        serving = spawn(listener.serve(handler))
        await listener.send_to(b"anybody?", address)
        while not caplog.records:
            await backend.sleep(0.001)
        with socket.socket(type=socket.SOCK_DGRAM) as late:
            late.bind(address)
            late.sendto(b"here I am", listener.extra(SocketAttribute.sockname))
            assert await received.get() == b"here I am"
        serving.cancel()
        await serving.wait()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "refused" in record.getMessage()


@pytest.mark.parametrize("delay", [0.002, 100 * PATIENCE], ids=["short", "long"])
async def test_receiving_pauses_after_two_errors_in_a_row(
    backend: AsyncBackend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, delay: float
) -> None:
    for module in (asyncio_module, trio_module):
        monkeypatch.setattr(module, "ERROR_DELAY", delay)
    received: list[bytes] = []

    async def handler(data: bytes, address: Any) -> None:
        received.append(data)

    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.connect(address := unused_address(socket.SOCK_DGRAM))
    async with listener_on(backend, sock) as listener:
        serving = spawn(listener.serve(handler))
        await settle()
        for count in (1, 2):
            await listener.send_to(b"anybody?", address)
            await until(lambda: len(caplog.records) == count)  # noqa: B023 - awaited right here
        with socket.socket(type=socket.SOCK_DGRAM) as late:
            late.bind(address)
            late.sendto(b"here I am", listener.extra(SocketAttribute.sockname))
            if delay < PATIENCE:
                await until(lambda: received == [b"here I am"])
            else:
                for _ in range(50):
                    await settle()
                assert received == []
        serving.cancel()
        await serving.wait()


# --- sending


async def test_anyone_can_be_sent_to_from_many_tasks(
    backend: AsyncBackend, listener: Listener, peer: socket.socket
) -> None:
    datagrams = {b"%d" % i * (i % 5) for i in range(50)}
    async with backend.create_task_group() as tasks:
        for datagram in datagrams:
            tasks.start_soon(listener.send_to, datagram, peer.getsockname())
    assert {peer.recv(100) for _ in datagrams} == datagrams


async def test_an_oversized_datagram_is_told(listener: Listener, peer: socket.socket) -> None:
    with pytest.raises(OSError) as info:
        await listener.send_to(bytes(65508), peer.getsockname())
    assert info.value.errno == errno.EMSGSIZE


async def test_a_host_name_is_resolved_without_blocking_the_loop(
    backend: AsyncBackend, listener: Listener, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def getaddrinfo(self: AsyncBackend, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append((host, port))
        await backend.coro_yield()
        return [(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "", peer.getsockname())]

    monkeypatch.setattr(type(backend), "getaddrinfo", getaddrinfo)
    port = peer.getsockname()[1]
    await listener.send_to(b"by name", ("peer.invalid", port))
    assert peer.recv(100) == b"by name"
    assert asked == [("peer.invalid", port)]


async def test_a_scope_stays_in_an_address(backend: AsyncBackend) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        try:
            peer.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on the loopback interface")
        [listener] = await backend.create_udp_listeners("::1", 0)
        async with listener:
            await listener.send_to(b"x", peer.getsockname())
            assert peer.recv(100) == b"x"


# --- closing


async def test_closing_ends_serve_with_ebadf(backend: AsyncBackend, listener: Listener) -> None:
    serving = spawn(listener.serve(no_handler))
    await settle()
    await listener.aclose()
    await serving.wait()
    assert ended_with(serving, errno.EBADF)


async def test_closing_and_cancelling_at_once_leaves_nothing_behind(backend: AsyncBackend, listener: Listener) -> None:
    serving = spawn(listener.serve(no_handler))
    await settle()
    closing = spawn(listener.aclose())
    serving.cancel()
    await closing.result()
    await serving.wait()
    assert serving.cancelled() or ended_with(serving, errno.EBADF)


async def test_everything_on_a_closed_listener_is_told_so(backend: AsyncBackend, listener: Listener) -> None:
    assert not listener.is_closing()
    await listener.aclose()
    await listener.aclose()
    assert listener.is_closing()
    for operation in (listener.serve(no_handler), listener.send_to(b"x", ("127.0.0.1", 1))):
        with pytest.raises(OSError) as info:
            await operation
        assert info.value.errno == errno.EBADF
    with pytest.raises(TypedAttributeLookupError):
        listener.extra(SocketAttribute.sockname)


async def test_a_dropped_listener_warns_and_closes(backend: AsyncBackend) -> None:
    [listener] = await backend.create_udp_listeners("127.0.0.1", 0)
    sock = listener.extra(SocketAttribute.socket)
    with pytest.warns(ResourceWarning, match="unclosed listener"):
        del listener
    assert sock.fileno() == -1
