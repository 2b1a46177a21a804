"""What all blocking clients do with packets, time-outs and errors."""

from __future__ import annotations

import errno
import math
import os
import socket
import time
from typing import Any

import pytest
from tests.clients.kinds import Kind, kinds, stream_kinds
from tests.support.blocking import PATIENCE, InThread

from easynetwork.exceptions import (
    BaseProtocolParseError,
    ClientClosedError,
    IncrementalDeserializeError,
    StreamProtocolParseError,
)
from easynetwork.lowlevel.socket import SocketProxy, enable_socket_linger
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

BAD_TIMES = [-1, -0.001, math.nan, -math.inf]


# ----------------------------------------------------------------------------------------------------------- packets


@kinds
def test_packets_go_both_ways(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        for number in range(3):
            client.send_packet(f"question {number}")
            assert peer.recv(100) == kind.wire(f"question {number}")
            peer.send(kind.wire(f"answer {number}"))
            assert client.recv_packet() == f"answer {number}"


@stream_kinds
@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("max_recv_size", [1, 7, None])
def test_packets_come_whole_however_they_are_cut(kind: Kind, protocol_class: Any, max_recv_size: int | None) -> None:
    protocol = protocol_class(StringLineSerializer())
    with kind.pair(protocol=protocol, max_recv_size=max_recv_size) as (client, peer):
        peer.sendall(b"one\ntwo\nthr")
        assert [client.recv_packet(), client.recv_packet()] == ["one", "two"]
        for timeout in (0, 0.001):
            with pytest.raises(TimeoutError) as caught:
                client.recv_packet(timeout=timeout)
            assert caught.value.errno == errno.ETIMEDOUT
            assert caught.value.strerror == f"No packet arrived in {timeout:g} seconds"
        call = InThread(client.recv_packet, timeout=PATIENCE)
        peer.sendall(b"ee\n")
        assert call.result() == "three"


@kinds
def test_packet_that_cannot_be_encoded_sends_nothing(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        with pytest.raises(RuntimeError) as caught:
            client.send_packet(12)
        assert caught.value.__cause__ is not None
        client.send_packet("fine")
        assert peer.recv(100) == kind.wire("fine")


@kinds
def test_invalid_bytes_are_an_error_and_the_next_packet_is_received(kind: Kind) -> None:
    serializer = StringLineSerializer(encoding="ascii")
    with kind.pair(serializer) as (client, peer):
        peer.send(kind.wire("\xe9"))
        peer.send(kind.wire("fine"))
        with pytest.raises(BaseProtocolParseError):
            client.recv_packet()
        assert client.recv_packet() == "fine"


class _Crashing(StringLineSerializer):
    __slots__ = ()

    def deserialize(self, data: Any, **kwargs: Any) -> str:
        raise ZeroDivisionError


@kinds
def test_protocol_that_crashes_is_a_runtime_error(kind: Kind) -> None:
    with kind.pair(_Crashing()) as (client, peer):
        peer.send(kind.wire("x"))
        with pytest.raises(RuntimeError) as caught:
            client.recv_packet()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert not client.is_closed()


# --------------------------------------------------------------------------------------------------------- time-outs


@kinds
def test_recv_packet_waits_no_longer_than_told(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        for timeout in (0, 0.001):
            with pytest.raises(TimeoutError) as caught:
                client.recv_packet(timeout=timeout)
            assert caught.value.errno == errno.ETIMEDOUT
        peer.send(kind.wire("x"))
        assert client.recv_packet(timeout=math.inf) == "x"


@kinds
def test_what_has_come_is_received_without_time(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        for number in range(3):
            peer.send(kind.wire(f"{number}"))
        assert [client.recv_packet(timeout=0) for _ in range(3)] == ["0", "1", "2"]


@kinds
@pytest.mark.parametrize("timeout", BAD_TIMES)
def test_bad_time_out_is_refused(kind: Kind, timeout: float) -> None:
    with kind.pair() as (client, _):
        with pytest.raises(ValueError, match="timeout"):
            client.send_packet("x", timeout=timeout)
        with pytest.raises(ValueError, match="timeout"):
            client.recv_packet(timeout=timeout)
        waiting = InThread(client.recv_packet)
        while client._receive_lock.lock.acquire(blocking=False):  # until the other thread has it
            client._receive_lock.lock.release()
        with pytest.raises(ValueError, match="timeout"):
            client.recv_packet(timeout=timeout)
        client.close()
        assert isinstance(waiting.error(), ClientClosedError)


@stream_kinds
def test_send_packet_gives_up_in_time_if_the_peer_does_not_read(kind: Kind) -> None:
    with kind.pair(small_buffers=True) as (client, _):
        with pytest.raises(TimeoutError) as caught:
            client.send_packet("x" * (1 << 22), timeout=0.01)
        assert caught.value.errno == errno.ETIMEDOUT


@kinds
@pytest.mark.parametrize("timeout", [0, 0.001])
def test_waiting_for_another_receiver_counts(kind: Kind, timeout: float) -> None:
    with kind.pair() as (client, peer):
        receiving = InThread(client.recv_packet)
        while client._receive_lock.lock.acquire(blocking=False):
            client._receive_lock.lock.release()
        with pytest.raises(TimeoutError) as caught:
            client.recv_packet(timeout=timeout)
        assert caught.value.errno == errno.ETIMEDOUT
        peer.send(kind.wire("x"))
        assert receiving.result() == "x"


@stream_kinds
@pytest.mark.parametrize("timeout", [0, 0.001])
def test_waiting_for_another_sender_counts(kind: Kind, timeout: float) -> None:
    with kind.pair(small_buffers=True) as (client, peer):
        data = "x" * (1 << 22)
        sending = InThread(client.send_packet, data)
        while client._send_lock.lock.acquire(blocking=False):
            client._send_lock.lock.release()
        with pytest.raises(TimeoutError) as caught:
            client.send_packet("y", timeout=timeout)
        assert caught.value.errno == errno.ETIMEDOUT
        received = 0
        while received < len(data) + 1:
            received += len(peer.recv(1 << 20))
        sending.result()


# ---------------------------------------------------------------------------------------------------------- iterators


@kinds
def test_iterator_gives_what_is_there_and_can_be_asked_again(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        iterator = client.iter_received_packets()
        assert iter(iterator) is iterator
        for _ in range(2):
            with pytest.raises(StopIteration) as caught:
                next(iterator)
            assert isinstance(caught.value.__cause__, TimeoutError)
            for number in range(3):
                peer.send(kind.wire(f"{number}"))
            assert list(iterator) == ["0", "1", "2"]


@kinds
def test_iterator_has_a_budget_for_waiting(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        iterator = client.iter_received_packets(timeout=0.2)

        def send() -> None:
            for _ in range(20):
                time.sleep(0.03)
                peer.send(kind.wire("x"))

        sender = InThread(send)
        received = sum(1 for _ in iterator)
        assert received < 20
        sender.result()
        assert sum(1 for _ in client.iter_received_packets(timeout=0)) == 20 - received


@kinds
def test_time_spent_outside_of_an_iterator_is_free(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        iterator = client.iter_received_packets(timeout=5)
        for number in range(2):
            peer.send(kind.wire(f"{number}"))
            assert next(iterator) == f"{number}"
            time.sleep(0.02)
        assert iterator._remaining > 4.9


@kinds
def test_errors_of_packets_do_not_end_an_iterator(kind: Kind) -> None:
    with kind.pair(StringLineSerializer(encoding="ascii")) as (client, peer):
        iterator = client.iter_received_packets()
        for text in ("one", "\xe9", "two"):
            peer.send(kind.wire(text))
        assert next(iterator) == "one"
        with pytest.raises(BaseProtocolParseError):
            next(iterator)
        assert list(iterator) == ["two"]


@stream_kinds
@pytest.mark.parametrize("timeout", [None, math.inf, 5])
def test_iterator_stops_at_the_end_of_the_stream(kind: Kind, timeout: float | None) -> None:
    with kind.pair() as (client, peer):
        peer.sendall(b"one\ntwo\nthr")
        peer.close()
        assert list(client.iter_received_packets(timeout=timeout)) == ["one", "two"]


@kinds
def test_iterator_of_a_closed_client_stops(kind: Kind) -> None:
    with kind.pair() as (client, _):
        iterator = client.iter_received_packets(timeout=None)
        client.close()
        with pytest.raises(StopIteration) as caught:
            next(iterator)
        assert isinstance(caught.value.__cause__, ClientClosedError)


# ------------------------------------------------------------------------------------------------------------- errors


@stream_kinds
def test_end_of_the_stream_is_connection_aborted_for_ever(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        peer.sendall(b"one\nincomplete")
        peer.shutdown(socket.SHUT_WR)
        assert client.recv_packet() == "one"
        for _ in range(3):
            with pytest.raises(ConnectionAbortedError):
                client.recv_packet()
        assert not client.is_closed()
        client.send_packet("still here")
        assert peer.recv(100) == b"still here\n"


@stream_kinds
def test_lost_connection_is_connection_aborted_and_the_client_stays_open(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        client.send_packet("never read")
        if kind.family == socket.AF_INET:
            enable_socket_linger(peer, 0)
        peer.close()
        with pytest.raises(ConnectionAbortedError) as caught:
            client.recv_packet()
        if kind.family == socket.AF_INET:
            assert isinstance(caught.value.__cause__, ConnectionResetError)
        with pytest.raises(ConnectionAbortedError) as caught:
            while True:
                client.send_packet("x")
        assert isinstance(caught.value.__cause__, ConnectionError)
        assert not client.is_closed()


@kinds
@pytest.mark.parametrize("method", ["send_packet", "recv_packet"])
def test_descriptor_closed_behind_our_back_is_no_closed_client(kind: Kind, method: str) -> None:
    with kind.pair() as (client, _):
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, client.fileno())
        os.close(null)
        with pytest.raises(OSError) as caught:
            getattr(client, method)(*(["x"] if method == "send_packet" else []), timeout=0.01)
        assert caught.value.errno == errno.ENOTSOCK
        assert caught.value.__notes__
        assert not client.is_closed()


@stream_kinds
def test_half_closing_leaves_receiving_open(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        client.send_packet("last words")
        for _ in range(2):
            client.send_eof()
        assert peer.recv(100) == b"last words\n"
        assert peer.recv(100) == b""
        with pytest.raises(RuntimeError):
            client.send_packet("too late")
        peer.sendall(b"an answer\n")
        assert client.recv_packet() == "an answer"


@stream_kinds
def test_limit_of_a_serializer_is_a_parse_error(kind: Kind) -> None:
    with kind.pair(StringLineSerializer(limit=10)) as (client, peer):
        peer.sendall(b"x" * 100 + b"\nfine\n")
        with pytest.raises(StreamProtocolParseError) as caught:
            client.recv_packet()
        assert isinstance(caught.value.error, IncrementalDeserializeError)


# ------------------------------------------------------------------------------------------------------------- facts


@kinds
def test_socket_is_always_the_same_view(kind: Kind) -> None:
    with kind.pair() as (client, _):
        view = client.socket
        assert isinstance(view, SocketProxy)
        assert client.socket is view
        assert view.family == kind.family
        assert view.type == kind.type
        assert view.fileno() == client.fileno() >= 0
        view.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        assert view.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 1 << 14
        client.close()
        assert client.socket is view
        assert view.fileno() == -1


@stream_kinds
def test_socket_view_waits_for_a_sender(kind: Kind) -> None:
    with kind.pair(small_buffers=True) as (client, peer):
        sending = InThread(client.send_packet, "x" * (1 << 22))
        while client._send_lock.lock.acquire(blocking=False):
            client._send_lock.lock.release()
        asking = InThread(client.socket.getsockname)
        asking._thread.join(0.02)
        assert asking.is_running()
        left = (1 << 22) + 1
        while left:
            left -= len(peer.recv(1 << 20))
        sending.result()
        asking.result()


@kinds
def test_repr_never_fails(kind: Kind) -> None:
    with kind.pair() as (client, _):
        assert kind.cls.__name__ in repr(client)
        client.close()
        assert kind.cls.__name__ in repr(client)
