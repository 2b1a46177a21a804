"""How blocking clients end: closed, forgotten, or forked."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pytest
from tests.clients.kinds import Kind, kinds, stream_kinds
from tests.support.blocking import PATIENCE, InThread
from tests.support.descriptors import open_descriptors
from tests.support.forks import in_child_process, needs_fork

from easynetwork.exceptions import ClientClosedError
from easynetwork.serializers.line import StringLineSerializer


def until_taken(lock: Any) -> None:
    """Wait until another thread holds *lock*."""
    deadline = time.monotonic() + PATIENCE
    while lock.lock.acquire(blocking=False):
        lock.lock.release()
        assert time.monotonic() < deadline


# ----------------------------------------------------------------------------------------------------------- closing


@kinds
def test_closed_client_refuses_everything(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        peer.send(kind.wire("too late"))
        assert not client.is_closed()
        for _ in range(2):
            client.close()
        assert client.is_closed()
        assert client.fileno() == -1
        facts = (
            ["get_local_address", "get_remote_address"]
            if hasattr(client, "get_local_address")
            else ["get_local_name", "get_peer_name"]
        )
        if hasattr(client, "get_peer_credentials"):
            facts.append("get_peer_credentials")
        calls: list[Callable[[], Any]] = [getattr(client, name) for name in facts]
        for call in [*calls, client.recv_packet, lambda: client.send_packet("x")]:
            with pytest.raises(ClientClosedError):
                call()
        with pytest.raises(ValueError):
            client.recv_packet(timeout=-1)
        if kind.is_stream:
            client.send_eof()


@stream_kinds
def test_kept_packets_are_lost_by_closing(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        peer.sendall(b"one\ntwo\nthree\n")
        assert client.recv_packet() == "one"
        client.close()
        with pytest.raises(ClientClosedError):
            client.recv_packet(timeout=0)


@kinds
def test_with_closes(kind: Kind) -> None:
    with pytest.raises(ZeroDivisionError), kind.pair() as (client, _):
        with client:
            raise ZeroDivisionError
    assert client.is_closed()


@kinds
def test_closing_tells_every_thread_that_receives(kind: Kind) -> None:
    for _ in range(5):
        with kind.pair() as (client, _):
            receiving = [InThread(client.recv_packet) for _ in range(3)]
            until_taken(client._receive_lock)
            client.close()
            for call in receiving:
                assert isinstance(call.error(), ClientClosedError)


@stream_kinds
def test_closing_waits_for_packets_that_are_being_sent(kind: Kind) -> None:
    with kind.pair(small_buffers=True) as (client, peer):
        data = "x" * (1 << 22)
        sending = InThread(client.send_packet, data)
        until_taken(client._send_lock)
        closing = InThread(client.close)
        received = bytearray()
        while chunk := peer.recv(1 << 20):
            received += chunk
        sending.result()
        closing.result()
        assert received == kind.wire(data)


@kinds
def test_forgotten_client_warns_and_is_closed(kind: Kind) -> None:
    ours, theirs = kind.sockets()
    with theirs:
        client = kind.cls(ours, kind.protocol())
        assert client.socket is client.socket  # asking for it keeps nothing alive
        with pytest.warns(ResourceWarning, match=kind.cls.__name__) as caught:
            del client
        assert len(caught) == 1
        assert ours.fileno() == -1


@kinds
def test_client_in_a_cycle_warns_and_is_closed_by_the_garbage_collector(kind: Kind) -> None:
    ours, theirs = kind.sockets()
    with theirs:
        cycle: list[Any] = [kind.cls(ours, kind.protocol())]
        cycle.append(cycle)
        del cycle
        with pytest.warns(ResourceWarning) as caught:
            gc.collect()
        assert len(caught) == 1
        assert ours.fileno() == -1


@kinds
def test_no_descriptor_is_left(kind: Kind) -> None:
    before = open_descriptors()
    for _ in range(3):
        with kind.pair() as (client, peer):
            client.send_packet("x")
            assert peer.recv(10) == kind.wire("x")
            with pytest.raises(TimeoutError):
                client.recv_packet(timeout=0.001)
    assert open_descriptors() == before


# ----------------------------------------------------------------------------------------------------------- threads


@kinds
def test_packets_of_several_threads_are_whole_and_in_the_order_of_each(kind: Kind) -> None:
    threads, count = 4, 100
    with kind.pair(small_buffers=True) as (client, peer):
        room = threading.Semaphore(20)  # UDP drops what the queue of the system has no room for

        def send(name: int) -> None:
            for number in range(count):
                assert kind.is_stream or room.acquire(timeout=PATIENCE)
                client.send_packet(f"{name} {number} " + "x" * (number * 10), timeout=PATIENCE)

        senders = [InThread(send, name) for name in range(threads)]
        lines: list[bytes] = []
        kept = b""
        while len(lines) < threads * count:
            data = peer.recv(1 << 16)
            if kind.is_stream:
                *complete, kept = (kept + data).split(b"\n")
                lines += complete
            else:
                lines.append(data)
                room.release()
        for sender in senders:
            sender.result()
        seen = [0] * threads
        for line in lines:
            name, number, filling = line.split(b" ")
            assert seen[int(name)] == int(number)
            assert filling == b"x" * (10 * int(number))
            seen[int(name)] += 1
        assert seen == [count] * threads


@kinds
def test_each_packet_goes_to_one_of_several_threads_even_if_they_are_impatient(kind: Kind) -> None:
    threads, count = 4, 300
    with kind.pair() as (client, peer):
        room = threading.Semaphore(10)  # the queue of the system is short, and datagrams may be dropped

        def receive() -> list[int]:
            received: list[int] = []
            while True:
                try:
                    number = int(client.recv_packet(timeout=0.001))
                except TimeoutError:
                    continue
                if number == count:
                    return received
                received.append(number)
                room.release()

        receivers = [InThread(receive) for _ in range(threads)]
        for number in range(count):
            assert room.acquire(timeout=PATIENCE)
            data = kind.wire(f"{number}")
            for piece in (data[:1], data[1:]) if kind.is_stream else (data,):
                peer.send(piece)
        for _ in range(threads):
            peer.send(kind.wire(f"{count}"))
        results = [receiver.result() for receiver in receivers]
        assert sorted(number for result in results for number in result) == list(range(count))
        for result in results:
            assert result == sorted(result)


@kinds
def test_threads_send_while_others_receive(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        received = threading.Semaphore(0)

        def receive() -> list[str]:
            packets = []
            for _ in range(100):
                packets.append(client.recv_packet(timeout=PATIENCE))
                received.release()
            return packets

        receiving = InThread(receive)
        for number in range(100):
            client.send_packet(f"{number}")
            peer.send(peer.recv(100))
            assert received.acquire(timeout=PATIENCE)
        assert receiving.result() == [f"{number}" for number in range(100)]


# -------------------------------------------------------------------------------------------------------------- forks


class _Gate(StringLineSerializer):
    """Stops a packet in the middle of being sent."""

    __slots__ = ("arrived", "go_on")

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.go_on = threading.Event()

    def serialize(self, packet: str) -> bytes:
        self._stop(packet)
        return super().serialize(packet)

    def incremental_serialize(self, packet: str) -> Generator[bytes, None, None]:
        self._stop(packet)
        yield from super().incremental_serialize(packet)

    def _stop(self, packet: str) -> None:
        if packet == "slow":
            self.arrived.set()
            assert self.go_on.wait(PATIENCE)


@needs_fork
@kinds
def test_child_process_finds_free_locks(kind: Kind) -> None:
    gate = _Gate()
    with kind.pair(gate) as (client, peer):
        sending = InThread(client.send_packet, "slow")
        receiving = InThread(client.recv_packet)
        assert gate.arrived.wait(PATIENCE)
        until_taken(client._receive_lock)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+: there are threads
            pid = os.fork()
        if pid == 0:
            signal.alarm(round(PATIENCE))  # rather than wait for ever
            try:
                assert not client.is_closed()
                assert client.socket.fileno() >= 0
                client.send_packet("from the child", timeout=PATIENCE)
                with pytest.raises(TimeoutError):
                    client.recv_packet(timeout=0.001)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert peer.recv(100) == kind.wire("from the child")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        gate.go_on.set()
        sending.result()
        assert peer.recv(100) == kind.wire("slow")
        peer.send(kind.wire("for the parent"))
        assert receiving.result() == "for the parent"


@needs_fork
@kinds
def test_child_process_that_closes_a_client_leaves_the_connection_to_its_parent(kind: Kind) -> None:
    with kind.pair() as (client, peer):
        receiving = InThread(client.recv_packet)  # a thread that waits, and does not exist in the child
        until_taken(client._receive_lock)

        def close() -> None:
            fd = client.fileno()
            client.close()
            assert client.is_closed()
            with pytest.raises(OSError):
                os.fstat(fd)
            with pytest.raises(ClientClosedError):
                client.send_packet("too late")

        in_child_process(close)
        peer.send(kind.wire("for the parent"))
        assert receiving.result() == "for the parent"
        client.send_packet("from the parent")
        assert peer.recv(100) == kind.wire("from the parent")


@needs_fork
@kinds
def test_client_that_is_forgotten_in_a_child_process_leaves_the_connection_to_its_parent(kind: Kind) -> None:
    ours, peer = kind.sockets()
    client = kind.cls(ours, kind.protocol())

    def forget() -> None:
        nonlocal client
        with pytest.warns(ResourceWarning, match="unclosed client"):
            del client
        assert ours.fileno() < 0

    with peer:
        in_child_process(forget)
        client.send_packet("from the parent")
        assert peer.recv(100) == kind.wire("from the parent")
        client.close()


@needs_fork
@kinds
def test_child_process_that_has_adopted_the_socket_closes_the_connection(kind: Kind) -> None:
    ours, peer = kind.sockets()

    def adopt() -> None:
        with kind.cls(ours, kind.protocol()) as client:
            client.send_packet("from the child")

    with ours, peer:
        in_child_process(adopt)
        assert peer.recv(100) == kind.wire("from the child")
        if kind.is_stream:
            assert peer.recv(100) == b""
