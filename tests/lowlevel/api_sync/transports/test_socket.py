"""Transports over plain stream sockets, TCP and Unix. The peer is a socket."""

from __future__ import annotations

import array
import errno
import gc
import math
import os
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from tests.support.blocking import PATIENCE, InThread, Waits, receive_exactly
from tests.support.descriptors import close_received, open_descriptors
from tests.support.sockets import stream_pair

from easynetwork.exceptions import TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel.api_sync.transports.socket import SocketDatagramTransport, SocketStreamTransport
from easynetwork.lowlevel.constants import SC_IOV_MAX
from easynetwork.lowlevel.socket import SocketAttribute

Pair = tuple[SocketStreamTransport, socket.socket]

FAMILIES = [socket.AF_INET, socket.AF_UNIX]
MUCH = 1 << 22
CMSG_SPACE = socket.CMSG_SPACE(4 * array.array("i").itemsize)


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def pair(family: socket.AddressFamily, waits: Waits) -> Iterator[Pair]:
    sock, peer = stream_pair(family, small_buffers=True)
    with peer, SocketStreamTransport(sock, math.inf, selector_factory=waits) as transport:
        yield transport, peer


@pytest.fixture
def unix_pair(waits: Waits) -> Iterator[Pair]:
    sock, peer = stream_pair(socket.AF_UNIX, small_buffers=True)
    with peer, SocketStreamTransport(sock, math.inf, selector_factory=waits) as transport:
        yield transport, peer


# --- arguments


def test_tls_socket_is_refused_and_closed() -> None:
    left, right = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = context.wrap_socket(left, server_side=True, do_handshake_on_connect=False)
    with right, pytest.raises(TypeError):
        SocketStreamTransport(tls, 1.0)
    assert tls.fileno() == -1


def test_socket_of_another_type_is_refused_and_closed() -> None:
    sock = socket.socket(type=socket.SOCK_DGRAM)
    with pytest.raises(ValueError):
        SocketStreamTransport(sock, 1.0)
    assert sock.fileno() == -1


@pytest.mark.parametrize("retry_interval", [0, -1.0, math.nan])
def test_bad_retry_interval_is_refused_and_the_socket_closed(retry_interval: float) -> None:
    sock = socket.socket()
    with pytest.raises(ValueError):
        SocketStreamTransport(sock, retry_interval)
    assert sock.fileno() == -1


def test_closed_socket_is_refused() -> None:
    sock = socket.socket()
    sock.close()
    with pytest.raises(OSError) as caught:
        SocketStreamTransport(sock, 1.0)
    assert caught.value.errno == errno.EBADF


def test_socket_becomes_non_blocking() -> None:
    sock = socket.socket()
    with SocketStreamTransport(sock, 1.0):
        assert sock.gettimeout() == 0


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_bad_time_out_is_refused(pair: Pair, timeout: float) -> None:
    transport, _ = pair
    for call in (
        lambda: transport.recv(10, timeout),
        lambda: transport.recv_into(bytearray(10), timeout),
        lambda: transport.send(b"abc", timeout),
        lambda: transport.send_all(b"abc", timeout),
        lambda: transport.send_all_from_iterable([b"abc", b"def"], timeout),
    ):
        with pytest.raises(ValueError):
            call()


# --- receiving


def test_recv_takes_what_is_there_and_no_more_than_asked_for(pair: Pair, waits: Waits) -> None:
    transport, peer = pair
    peer.sendall(b"abcdef")
    assert transport.recv(4, math.inf) == b"abcd"
    assert transport.recv(4, 0) == b"ef"


def test_recv_waits_for_bytes(pair: Pair, waits: Waits) -> None:
    transport, peer = pair
    call = InThread(transport.recv, 100, math.inf)
    waits.wait_for_start()
    peer.sendall(b"abc")
    assert call.result() == b"abc"


def test_recv_without_time_fails_if_there_is_nothing(pair: Pair) -> None:
    transport, peer = pair
    with pytest.raises(TimeoutError) as caught:
        transport.recv(100, 0)
    assert caught.value.errno == errno.ETIMEDOUT
    with pytest.raises(TimeoutError):
        transport.recv_into(bytearray(10), 0.001)
    peer.sendall(b"abc")
    assert transport.recv(100, PATIENCE) == b"abc"


def test_recv_of_nothing_waits_for_nothing(pair: Pair) -> None:
    transport, _ = pair
    assert transport.recv(0, math.inf) == b""
    assert transport.recv_into(bytearray(), math.inf) == 0


def test_recv_refuses_a_negative_size(pair: Pair) -> None:
    with pytest.raises(ValueError):
        pair[0].recv(-1, math.inf)


def test_recv_into_writes_at_the_beginning(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"abc")
    buffer = bytearray(b"------")
    assert transport.recv_into(buffer, PATIENCE) == 3
    assert buffer == b"abc---"


def test_end_of_stream_is_reported_again_and_again(pair: Pair) -> None:
    transport, peer = pair
    peer.sendall(b"abc")
    peer.shutdown(socket.SHUT_WR)
    assert transport.recv(100, PATIENCE) == b"abc"
    assert [transport.recv(100, PATIENCE), transport.recv(100, 0)] == [b"", b""]
    assert transport.recv_into(bytearray(3), 0) == 0


def test_reset_is_an_error() -> None:
    sock, peer = stream_pair(socket.AF_INET)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with SocketStreamTransport(sock, math.inf) as transport:
        peer.close()
        with pytest.raises(ConnectionResetError):
            transport.recv(100, PATIENCE)


# --- sending


def test_send_tells_how_much_was_taken(pair: Pair) -> None:
    transport, _ = pair
    data = bytes(MUCH)
    assert 0 < transport.send(data, math.inf) < len(data)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_send_all_waits_until_all_is_sent(pair: Pair, waits: Waits, kind: Any) -> None:
    transport, peer = pair
    data = os.urandom(MUCH)
    call = InThread(transport.send_all, kind(data), math.inf)
    waits.wait_for_start()
    assert receive_exactly(peer, MUCH) == data
    call.result()


def test_send_all_gives_up_in_time_if_the_peer_does_not_read(pair: Pair) -> None:
    transport, _ = pair
    with pytest.raises(TimeoutError) as caught:
        transport.send_all(bytes(MUCH), 0.01)
    assert caught.value.errno == errno.ETIMEDOUT
    with pytest.raises(TimeoutError):
        transport.send(b"abc", 0)


@pytest.mark.parametrize("count", [0, 1, 2, SC_IOV_MAX, 3 * SC_IOV_MAX + 1])
def test_send_all_from_iterable_sends_any_number_of_pieces(pair: Pair, count: int) -> None:
    transport, peer = pair
    pieces = [bytes([i % 256]) * (i % 5) for i in range(count)]
    call = InThread(transport.send_all_from_iterable, iter(pieces), math.inf)
    expected = b"".join(pieces)
    assert receive_exactly(peer, len(expected)) == expected
    call.result()


def test_send_all_from_iterable_goes_on_where_the_system_took_a_part(pair: Pair, waits: Waits) -> None:
    transport, peer = pair
    pieces: list[Any] = [os.urandom(size) for size in (1, 300_000, 0, 7, 1_000_000, 65536)]
    expected = b"".join(pieces)
    pieces[1] = memoryview(pieces[1]).cast("I")
    pieces[3] = bytearray(pieces[3])
    call = InThread(transport.send_all_from_iterable, pieces, math.inf)
    waits.wait_for_start()
    assert receive_exactly(peer, len(expected)) == expected
    call.result()


def test_send_all_from_iterable_gives_up_in_time(pair: Pair) -> None:
    transport, _ = pair
    with pytest.raises(TimeoutError):
        transport.send_all_from_iterable([bytes(MUCH), bytes(MUCH)], 0.01)


def test_send_all_from_iterable_sends_nothing_if_the_iterable_fails(pair: Pair) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"abc"
        raise LookupError

    transport, peer = pair
    with pytest.raises(LookupError):
        transport.send_all_from_iterable(pieces(), math.inf)
    transport.send_all(b"next", math.inf)
    assert peer.recv(100) == b"next"


def test_send_to_a_peer_that_has_gone_is_a_connection_error(pair: Pair) -> None:
    transport, peer = pair
    peer.close()
    with pytest.raises(ConnectionError):
        for _ in range(1000):
            transport.send_all(b"abc" * 1000, PATIENCE)


def test_one_thread_may_send_while_another_one_receives(pair: Pair, waits: Waits) -> None:
    transport, peer = pair
    receiver = InThread(transport.recv, 100, math.inf)
    waits.wait_for_start()
    data = os.urandom(MUCH)
    sender = InThread(transport.send_all, data, math.inf)
    assert receive_exactly(peer, MUCH) == data
    sender.result()
    peer.sendall(b"answer")
    assert receiver.result() == b"answer"


# --- half-closing and closing


def test_send_eof_leaves_receiving(pair: Pair) -> None:
    transport, peer = pair
    transport.send_all(b"abc", math.inf)
    transport.send_eof()
    transport.send_eof()
    assert receive_exactly(peer, 100) == b"abc"
    peer.sendall(b"def")
    assert transport.recv(100, PATIENCE) == b"def"
    with pytest.raises(BrokenPipeError):
        transport.send_all(b"ghi", PATIENCE)
    assert not transport.is_closed()


def test_send_eof_does_nothing_on_what_is_not_connected() -> None:
    transport = SocketStreamTransport(socket.socket(), 1.0)
    transport.send_eof()
    transport.close()
    transport.send_eof()


def test_send_eof_lets_other_errors_through() -> None:
    class Refusing(socket.socket):
        def shutdown(self, how: int) -> None:
            raise OSError(errno.ENOBUFS, "no")

    with SocketStreamTransport(Refusing(), 1.0) as transport, pytest.raises(OSError) as caught:
        transport.send_eof()
    assert caught.value.errno == errno.ENOBUFS


def test_close_ends_the_connection_even_if_the_socket_was_duplicated(pair: Pair) -> None:
    transport, peer = pair
    fd = os.dup(transport.extra(SocketAttribute.socket).fileno())
    try:
        transport.close()
        assert peer.recv(100) == b""
    finally:
        os.close(fd)


def test_close_is_idempotent(pair: Pair) -> None:
    transport, _ = pair
    assert not transport.is_closed()
    transport.close()
    transport.close()
    assert transport.is_closed()


@pytest.mark.parametrize("method", ["recv", "recv_into", "send", "send_all", "send_all_from_iterable"])
def test_closed_transport_refuses(pair: Pair, method: str) -> None:
    transport, _ = pair
    transport.close()
    argument: Any = {"recv": 10, "recv_into": bytearray(10), "send_all_from_iterable": [b"a", b"b"]}.get(method, b"abc")
    with pytest.raises(OSError) as caught:
        getattr(transport, method)(argument, math.inf)
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("default_selector", [True, False])
def test_close_wakes_a_thread_that_receives(family: socket.AddressFamily, waits: Waits, default_selector: bool) -> None:
    sock, peer = stream_pair(family)
    transport = SocketStreamTransport(sock, math.inf, selector_factory=None if default_selector else waits)
    call = InThread(transport.recv, 100, math.inf)
    if default_selector:
        threading.Event().wait(0.02)  # most probably it waits by now; if not, there is less to prove
    else:
        waits.wait_for_start()
    transport.close()
    error = call.error()
    assert error is None or (isinstance(error, OSError) and error.errno == errno.EBADF)
    peer.close()


def test_close_wakes_a_thread_that_sends(pair: Pair, waits: Waits) -> None:
    transport, _ = pair
    call = InThread(transport.send_all, bytes(MUCH), math.inf)
    waits.wait_for_start()
    transport.close()
    assert isinstance(call.error(), OSError)


def test_forgotten_transport_warns_and_closes(family: socket.AddressFamily) -> None:
    sock, peer = stream_pair(family)
    transport = SocketStreamTransport(sock, 1.0)
    with peer:
        with pytest.warns(ResourceWarning, match="SocketStreamTransport") as caught:
            del transport
        assert len(caught) == 1
        assert sock.fileno() == -1
        assert peer.recv(10) == b""


def test_half_made_transport_is_forgotten_silently() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SocketStreamTransport.__new__(SocketStreamTransport)
        with pytest.raises(ValueError):
            SocketStreamTransport(socket.socket(), 0)
        gc.collect()


def test_no_descriptor_is_left(family: socket.AddressFamily) -> None:
    before = open_descriptors()
    for _ in range(3):
        sock, peer = stream_pair(family)
        with peer, SocketStreamTransport(sock, 1.0) as transport:
            with pytest.raises(TimeoutError):
                transport.recv(10, 0.001)
    assert open_descriptors() == before


# --- facts


def test_attributes_are_those_of_the_socket(pair: Pair, family: socket.AddressFamily) -> None:
    transport, peer = pair
    proxy = transport.extra(SocketAttribute.socket)
    assert proxy.fileno() >= 0
    assert not hasattr(proxy, "close")
    assert transport.extra(SocketAttribute.family) == family
    assert transport.extra(SocketAttribute.sockname) == peer.getpeername()
    assert transport.extra(SocketAttribute.peername) == peer.getsockname()


def test_addresses_of_a_closed_transport_are_unknown(pair: Pair) -> None:
    transport, _ = pair
    transport.close()
    for attribute in (SocketAttribute.sockname, SocketAttribute.peername):
        with pytest.raises(TypedAttributeLookupError):
            transport.extra(attribute)


def test_repr_never_fails(pair: Pair) -> None:
    transport, _ = pair
    assert "SocketStreamTransport" in repr(transport)
    transport.close()
    assert "SocketStreamTransport" in repr(transport)
    assert "SocketStreamTransport" in repr(SocketStreamTransport.__new__(SocketStreamTransport))


def test_there_is_no_instance_dict(pair: Pair) -> None:
    assert not hasattr(pair[0], "__dict__")


# --- ancillary data


def rights(*fds: int) -> list[tuple[int, int, bytes]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())]


def test_descriptors_are_received(unix_pair: Pair, waits: Waits) -> None:
    transport, peer = unix_pair
    call = InThread(transport.recv_with_ancillary, 100, CMSG_SPACE, math.inf)
    waits.wait_for_start()
    peer.sendmsg([b"abc"], rights(0))
    data, raw = call.result()
    assert data == b"abc"
    assert close_received(raw) == 1


def test_descriptors_are_received_into_a_buffer(unix_pair: Pair) -> None:
    transport, peer = unix_pair
    peer.sendmsg([b"abc"], rights(0))
    buffer = bytearray(10)
    nbytes, raw = transport.recv_with_ancillary_into(buffer, CMSG_SPACE, PATIENCE)
    assert buffer[:nbytes] == b"abc"
    assert close_received(raw) == 1


def test_nothing_attached_is_an_empty_list(unix_pair: Pair) -> None:
    transport, peer = unix_pair
    peer.sendall(b"abcdef")
    assert transport.recv_with_ancillary(3, CMSG_SPACE, PATIENCE) == (b"abc", [])
    assert transport.recv_with_ancillary_into(bytearray(3), CMSG_SPACE, PATIENCE) == (3, [])
    peer.close()
    assert transport.recv_with_ancillary(3, CMSG_SPACE, PATIENCE) == (b"", [])


def test_descriptors_are_sent_with_all_pieces(unix_pair: Pair) -> None:
    transport, peer = unix_pair
    pieces: list[Any] = [b"abc", bytearray(b"de")]
    transport.send_all_with_ancillary(iter(pieces), iter(rights(0)), PATIENCE)
    data, raw, _, _ = peer.recvmsg(100, CMSG_SPACE)
    assert data == b"abcde"
    assert close_received(raw) == 1


def test_ancillary_data_waits_until_the_peer_reads(unix_pair: Pair, waits: Waits) -> None:
    transport, peer = unix_pair
    nbytes = 0
    with pytest.raises(TimeoutError):
        while True:
            nbytes += transport.send(bytes(1000), 0)
    call = InThread(transport.send_all_with_ancillary, iter([b"end"]), iter(rights(0)), math.inf)
    waits.wait_for_start()
    assert receive_exactly(peer, nbytes) == bytes(nbytes)
    data, raw, _, _ = peer.recvmsg(100, CMSG_SPACE)
    assert data == b"end"
    assert close_received(raw) == 1
    call.result()


def test_ancillary_data_needs_one_call(unix_pair: Pair) -> None:
    transport, _ = unix_pair
    with pytest.raises(OSError) as caught:
        transport.send_all_with_ancillary([bytes(MUCH)], rights(0), PATIENCE)
    assert caught.value.errno == errno.EMSGSIZE


def test_ancillary_data_with_too_many_pieces_is_refused(unix_pair: Pair) -> None:
    transport, _ = unix_pair
    with pytest.raises(OSError) as caught:
        transport.send_all_with_ancillary([b"x"] * (SC_IOV_MAX + 1), rights(0), PATIENCE)
    assert caught.value.errno == errno.EMSGSIZE


def test_tcp_carries_no_ancillary_data() -> None:
    sock, peer = stream_pair(socket.AF_INET)
    with peer, SocketStreamTransport(sock, 1.0) as transport:
        for call in (
            lambda: transport.recv_with_ancillary(10, 10, 0),
            lambda: transport.recv_with_ancillary_into(bytearray(10), 10, 0),
            lambda: transport.send_all_with_ancillary([b"abc"], [], 0),
        ):
            with pytest.raises(UnsupportedOperation):
                call()


@pytest.mark.parametrize(
    ("cls", "type_"), [(SocketStreamTransport, socket.SOCK_STREAM), (SocketDatagramTransport, socket.SOCK_DGRAM)]
)
def test_a_closed_socket_is_not_asked_for_its_names(cls: Any, type_: socket.SocketKind) -> None:
    sock = Mock(spec=socket.socket, type=type_, family=socket.AF_INET)
    sock.fileno.return_value = 12345
    sock.getsockname.return_value, sock.getpeername.return_value = ("127.0.0.1", 1), ("127.0.0.1", 2)
    transport = cls(sock, math.inf)
    assert transport.extra(SocketAttribute.sockname) == ("127.0.0.1", 1)
    assert transport.extra(SocketAttribute.peername) == ("127.0.0.1", 2)
    sock.fileno.return_value = -1
    sock.reset_mock()
    for attribute in (SocketAttribute.sockname, SocketAttribute.peername):
        with pytest.raises(TypedAttributeLookupError):
            transport.extra(attribute)
    assert sock.getsockname.mock_calls == sock.getpeername.mock_calls == []
