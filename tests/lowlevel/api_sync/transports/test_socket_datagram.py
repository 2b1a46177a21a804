"""Transports over datagram sockets, UDP and Unix. The peer is a socket."""

from __future__ import annotations

import array
import errno
import math
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.blocking import PATIENCE, InThread, Waits

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport
from easynetwork.lowlevel.socket import SocketAttribute

Pair = tuple[SocketDatagramTransport, socket.socket]

FAMILIES = [socket.AF_INET, socket.AF_UNIX]
CMSG_SPACE = socket.CMSG_SPACE(4 * array.array("i").itemsize)
RIGHTS = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]).tobytes())]


def datagram_pair(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        ours, peer = socket.socketpair(family, socket.SOCK_DGRAM)
    else:
        ours, peer = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        for sock in ours, peer:
            sock.bind(("127.0.0.1", 0))
        ours.connect(peer.getsockname())
        peer.connect(ours.getsockname())
    peer.settimeout(PATIENCE)
    return ours, peer


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def pair(family: socket.AddressFamily, waits: Waits) -> Iterator[Pair]:
    sock, peer = datagram_pair(family)
    with peer, SocketDatagramTransport(sock, math.inf, selector_factory=waits) as transport:
        yield transport, peer


@pytest.fixture
def unix_pair(waits: Waits) -> Iterator[Pair]:
    sock, peer = datagram_pair(socket.AF_UNIX)
    with peer, SocketDatagramTransport(sock, math.inf, selector_factory=waits) as transport:
        yield transport, peer


def fill(transport: SocketDatagramTransport) -> int:
    """Send until the system takes no more; return how many datagrams that were."""
    for count in range(1 << 20):
        try:
            transport.send(b"x", 0)
        except TimeoutError:
            return count
    pytest.fail("the system takes everything")


# --- arguments


def test_socket_of_another_type_is_refused_and_closed() -> None:
    sock = socket.socket()
    with pytest.raises(ValueError):
        SocketDatagramTransport(sock, 1.0)
    assert sock.fileno() == -1


@pytest.mark.parametrize("size", [0, -1])
def test_bad_datagram_size_is_refused_and_the_socket_closed(size: int) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with pytest.raises(ValueError):
        SocketDatagramTransport(sock, 1.0, max_datagram_size=size)
    assert sock.fileno() == -1


@pytest.mark.parametrize("retry_interval", [0, math.nan])
def test_bad_retry_interval_is_refused_and_the_socket_closed(retry_interval: float) -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with pytest.raises(ValueError):
        SocketDatagramTransport(sock, retry_interval)
    assert sock.fileno() == -1


# --- exchanging


def test_datagrams_keep_their_boundaries(pair: Pair) -> None:
    transport, peer = pair
    for data in (b"abc", b"", b"defg"):
        peer.send(data)
    assert [transport.recv(PATIENCE) for _ in range(3)] == [b"abc", b"", b"defg"]


def test_recv_waits_for_a_datagram(pair: Pair, waits: Waits) -> None:
    transport, peer = pair
    call = InThread(transport.recv, math.inf)
    waits.wait_for_start()
    peer.send(b"abc")
    assert call.result() == b"abc"


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_recv_gives_up_in_time(pair: Pair, timeout: float) -> None:
    transport, peer = pair
    with pytest.raises(TimeoutError) as caught:
        transport.recv(timeout)
    assert caught.value.errno == errno.ETIMEDOUT
    peer.send(b"abc")
    assert transport.recv(0) == b"abc"


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_bad_time_out_is_refused(pair: Pair, timeout: float) -> None:
    with pytest.raises(ValueError):
        pair[0].recv(timeout)
    with pytest.raises(ValueError):
        pair[0].send(b"abc", timeout)


def test_long_datagrams_are_cut_off(family: socket.AddressFamily) -> None:
    sock, peer = datagram_pair(family)
    with peer, SocketDatagramTransport(sock, 1.0, max_datagram_size=3) as transport:
        peer.send(b"abcdef")
        assert transport.recv(PATIENCE) == b"abc"


@pytest.mark.parametrize(
    "data", [b"abc", b"", bytearray(b"abc"), memoryview(b"abc")], ids=["bytes", "empty", "bytearray", "memoryview"]
)
def test_send_sends_one_datagram(pair: Pair, data: Any) -> None:
    transport, peer = pair
    transport.send(data, math.inf)
    assert peer.recv(100) == bytes(data)


def test_send_waits_for_a_peer_whose_queue_is_full(unix_pair: Pair, waits: Waits) -> None:
    transport, peer = unix_pair
    count = fill(transport)
    with pytest.raises(TimeoutError):
        transport.send(b"late", 0.001)
    waits.wait_for_start()
    call = InThread(transport.send, b"end", math.inf)
    waits.wait_for_start()
    assert [peer.recv(100) for _ in range(count + 1)] == [b"x"] * count + [b"end"]
    call.result()


def test_datagram_that_is_too_long_is_refused(pair: Pair) -> None:
    transport, _ = pair
    with pytest.raises(OSError) as caught:
        transport.send(bytes(1 << 20), math.inf)
    assert caught.value.errno == errno.EMSGSIZE


def test_refused_datagram_is_reported_once() -> None:
    sock, peer = datagram_pair(socket.AF_INET)
    with SocketDatagramTransport(sock, 1.0) as transport:
        peer.close()
        transport.send(b"abc", math.inf)
        with pytest.raises(ConnectionRefusedError):
            transport.recv(PATIENCE)
        with pytest.raises(TimeoutError):
            transport.recv(0)


# --- closing


def test_close_is_idempotent(pair: Pair) -> None:
    transport, _ = pair
    assert not transport.is_closed()
    transport.close()
    transport.close()
    assert transport.is_closed()


def test_closed_transport_refuses(pair: Pair) -> None:
    transport, _ = pair
    transport.close()
    with pytest.raises(OSError) as caught:
        transport.recv(math.inf)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(OSError) as caught:
        transport.send(b"abc", math.inf)
    assert caught.value.errno == errno.EBADF


def test_close_wakes_a_thread_that_receives(pair: Pair, waits: Waits) -> None:
    transport, _ = pair
    call = InThread(transport.recv, math.inf)
    waits.wait_for_start()
    transport.close()
    error = call.error()
    assert isinstance(error, OSError)
    assert error.errno == errno.EBADF


def test_close_wakes_a_thread_that_sends(unix_pair: Pair, waits: Waits) -> None:
    transport, _ = unix_pair
    fill(transport)
    call = InThread(transport.send, b"abc", math.inf)
    waits.wait_for_start()
    transport.close()
    assert isinstance(call.error(), OSError)


def test_close_leaves_the_socket_of_another_process_alone(pair: Pair) -> None:
    transport, peer = pair
    with socket.socket(fileno=os.dup(transport.extra(SocketAttribute.socket).fileno())) as duplicate:
        transport.close()
        duplicate.settimeout(PATIENCE)
        duplicate.send(b"abc")
        assert peer.recv(100) == b"abc"
        peer.send(b"def")
        assert duplicate.recv(100) == b"def"


def test_forgotten_transport_warns_and_closes(family: socket.AddressFamily) -> None:
    sock, peer = datagram_pair(family)
    transport = SocketDatagramTransport(sock, 1.0)
    with peer:
        with pytest.warns(ResourceWarning, match="SocketDatagramTransport"):
            del transport
        assert sock.fileno() == -1


# --- facts


def test_attributes_are_those_of_the_socket(pair: Pair, family: socket.AddressFamily) -> None:
    transport, peer = pair
    assert transport.extra(SocketAttribute.socket).type == socket.SOCK_DGRAM
    assert transport.extra(SocketAttribute.family) == family
    assert transport.extra(SocketAttribute.sockname) == peer.getpeername()
    assert transport.extra(SocketAttribute.peername) == peer.getsockname()


# --- ancillary data


def test_descriptors_are_exchanged(unix_pair: Pair) -> None:
    transport, peer = unix_pair
    transport.send_with_ancillary(b"abc", iter(RIGHTS), PATIENCE)
    data, raw, _, _ = peer.recvmsg(100, CMSG_SPACE)
    peer.sendmsg([data], raw)
    [(_, _, sent_fd)] = raw
    data, raw = transport.recv_with_ancillary(CMSG_SPACE, PATIENCE)
    [(_, _, received_fd)] = raw
    assert data == b"abc"
    for fd in (*array.array("i", sent_fd), *array.array("i", received_fd)):
        os.close(fd)


def test_nothing_attached_is_an_empty_list(unix_pair: Pair) -> None:
    transport, peer = unix_pair
    peer.send(b"abc")
    assert transport.recv_with_ancillary(CMSG_SPACE, PATIENCE) == (b"abc", [])


def test_ancillary_data_waits(unix_pair: Pair, waits: Waits) -> None:
    transport, peer = unix_pair
    call: InThread[Any] = InThread(transport.recv_with_ancillary, CMSG_SPACE, math.inf)
    waits.wait_for_start()
    peer.send(b"abc")
    assert call.result() == (b"abc", [])
    count = fill(transport)
    sending = InThread(transport.send_with_ancillary, b"end", iter(()), math.inf)
    waits.wait_for_start()
    assert [peer.recv(100) for _ in range(count + 1)] == [b"x"] * count + [b"end"]
    sending.result()


def test_udp_carries_no_ancillary_data() -> None:
    sock, peer = datagram_pair(socket.AF_INET)
    with peer, SocketDatagramTransport(sock, 1.0) as transport:
        with pytest.raises(UnsupportedOperation):
            transport.recv_with_ancillary(10, 0)
        with pytest.raises(UnsupportedOperation):
            transport.send_with_ancillary(b"abc", [], 0)
