"""Packets over blocking stream transports."""

from __future__ import annotations

import array
import errno
import itertools
import math
import socket
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from tests.lowlevel.api_sync.endpoints.transports import MinimalTransport
from tests.support.blocking import PATIENCE, InThread, Waits
from tests.support.descriptors import close_received
from tests.support.framing_cases import BufferedProtocolByGenerators, LengthPrefix, Line, ProtocolByGenerators

from easynetwork.exceptions import StreamProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_sync.endpoints.stream import (
    StreamEndpoint,
    StreamReceiverEndpoint,
    StreamSenderEndpoint,
)
from easynetwork.lowlevel.api_sync.transports.abc import (
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
)
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

Endpoint = StreamEndpoint[Any, Any]
LINE: StreamProtocol[Any, Any] = StreamProtocol(Line(b"\n"))
MAX_RECV_SIZE = 1024


@pytest.fixture(
    params=[
        StreamProtocol(Line(b"\n")),
        BufferedStreamProtocol(Line(b"\n")),
        ProtocolByGenerators(Line(b"\n")),
        BufferedProtocolByGenerators(Line(b"\n")),
    ],
    ids=["frames", "frames, buffered", "generators", "generators, buffered"],
)
def protocol(request: pytest.FixtureRequest) -> AnyStreamProtocolType[Any, Any]:
    kind: AnyStreamProtocolType[Any, Any] = request.param
    return kind


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    peer.settimeout(PATIENCE)
    with ours, peer:
        yield ours, peer


@pytest.fixture
def peer(sockets: tuple[socket.socket, socket.socket]) -> socket.socket:
    return sockets[1]


@pytest.fixture
def endpoint(
    sockets: tuple[socket.socket, socket.socket], protocol: AnyStreamProtocolType[Any, Any], waits: Waits
) -> Iterator[Endpoint]:
    transport = SocketStreamTransport(sockets[0], math.inf, selector_factory=waits)
    with StreamEndpoint(transport, protocol, MAX_RECV_SIZE) as endpoint:
        yield endpoint


# --- minimal transports, as a user would write them


class Reader(MinimalTransport, StreamReadTransport):
    """Gives chunks, one per read, as far as they fit."""

    def __init__(self, *chunks: bytes | Exception) -> None:
        self.chunks = list(chunks)
        self.timeouts: list[float] = []

    def recv_into(self, buffer: Any, timeout: float) -> int:
        self.timeouts.append(timeout)
        if not self.chunks:
            return 0
        chunk = self.chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        with memoryview(buffer).cast("B") as view:
            if len(chunk) > len(view):
                self.chunks.insert(0, chunk[len(view) :])
            chunk = chunk[: len(view)]
            view[: len(chunk)] = chunk
        return len(chunk)


class Writer(MinimalTransport, StreamWriteTransport):
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, data: Any, timeout: float) -> int:
        self.sent.append(bytes(data))
        return len(data)


class Both(Reader, Writer, StreamTransport):
    def __init__(self, *chunks: bytes | Exception) -> None:
        Writer.__init__(self)
        Reader.__init__(self, *chunks)
        self.half_closes = 0
        self.refuses_eof = False

    def send_eof(self) -> None:
        self.half_closes += 1
        if self.refuses_eof:
            raise UnsupportedOperation


def timed_out(call: Callable[[], object]) -> None:
    with pytest.raises(TimeoutError) as caught:
        call()
    assert caught.value.errno == errno.ETIMEDOUT


# --- arguments


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [(StreamEndpoint, Reader()), (StreamReceiverEndpoint, Writer()), (StreamReceiverEndpoint, None)],
)
def test_transport_of_a_wrong_type_is_refused(cls: Any, wrong: Any) -> None:
    with pytest.raises(TypeError):
        cls(wrong, LINE, MAX_RECV_SIZE)
    with pytest.raises(TypeError):
        StreamSenderEndpoint(Reader(), LINE)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize("wrong", [None, DatagramProtocol(StringLineSerializer())], ids=["none", "datagram"])
def test_protocol_of_a_wrong_type_is_refused_and_the_transport_closed(wrong: Any) -> None:
    transport = Both()
    for make in (
        lambda: StreamEndpoint(transport, wrong, MAX_RECV_SIZE),
        lambda: StreamReceiverEndpoint(transport, wrong, MAX_RECV_SIZE),
        lambda: StreamSenderEndpoint(transport, wrong),
    ):
        transport.closed = False
        with pytest.raises(TypeError):
            make()
        assert transport.closed


@pytest.mark.parametrize("wrong", [0, -1, 10.5, "10", None])
@pytest.mark.parametrize("cls", [StreamEndpoint, StreamReceiverEndpoint])
def test_bad_max_recv_size_is_refused_and_the_transport_closed(cls: Any, wrong: Any) -> None:
    transport = Both()
    with pytest.raises(ValueError):
        cls(transport, LINE, wrong)
    assert transport.closed


@pytest.mark.parametrize("timeout", [-1, -0.1, math.nan])
def test_bad_time_out_is_refused(endpoint: Endpoint, peer: socket.socket, timeout: float) -> None:
    peer.sendall(b"one\ntwo\n")
    assert endpoint.recv_packet() == b"one"
    for call in (
        lambda: endpoint.recv_packet(timeout=timeout),
        lambda: endpoint.recv_packet_with_ancillary(100, lambda raw: None, timeout=timeout),
        lambda: endpoint.send_packet(b"abc", timeout=timeout),
        lambda: endpoint.send_packet_with_ancillary(b"abc", [], timeout=timeout),
    ):
        with pytest.raises(ValueError):
            call()
    assert endpoint.recv_packet() == b"two"


# --- receiving


def test_kept_packets_are_returned_without_the_transport(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    transport = Both(b"one\ntwo\nthree\n")
    with StreamEndpoint(transport, protocol, MAX_RECV_SIZE) as endpoint:
        assert [endpoint.recv_packet() for _ in range(3)] == [b"one", b"two", b"three"]
        assert transport.timeouts == [math.inf]


def test_chunks_are_read_until_there_is_a_packet(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    with StreamEndpoint(Both(b"o", b"n", b"e\ntw", b"o\n"), protocol, MAX_RECV_SIZE) as endpoint:
        assert [endpoint.recv_packet(), endpoint.recv_packet()] == [b"one", b"two"]


def test_any_framing_works_wherever_the_stream_is_cut() -> None:
    protocol: StreamProtocol[Any, Any] = StreamProtocol(LengthPrefix())
    writer = Writer()
    with StreamSenderEndpoint(writer, protocol) as sender:
        sender.send_packet(b"hello")
        sender.send_packet(b"x")
    stream = b"".join(writer.sent)
    for cut in range(1, len(stream)):
        with StreamReceiverEndpoint(Reader(stream[:cut], stream[cut:]), protocol, 3) as receiver:
            assert [receiver.recv_packet(), receiver.recv_packet()] == [b"hello", b"x"]


def test_no_more_than_max_recv_size_is_read_at_once() -> None:
    class Sizes(Reader):
        def recv(self, bufsize: int, timeout: float) -> bytes:
            sizes.append(bufsize)
            return super().recv(bufsize, timeout)

    sizes: list[int] = []
    with StreamReceiverEndpoint(Sizes(b"abcdefgh\n"), LINE, 4) as endpoint:
        assert endpoint.recv_packet() == b"abcdefgh"
    assert sizes == [4, 4, 4]


def test_end_of_stream_comes_after_the_last_packet_and_stays(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    transport = Both(b"one\ntwo\nincompl")
    with StreamEndpoint(transport, protocol, MAX_RECV_SIZE) as endpoint:
        assert [endpoint.recv_packet(), endpoint.recv_packet()] == [b"one", b"two"]
        for _ in range(3):
            with pytest.raises(ConnectionAbortedError) as caught:
                endpoint.recv_packet()
            assert caught.value.errno == errno.ECONNABORTED
        assert len(transport.timeouts) == 2
        endpoint.send_packet(b"still possible")
        assert transport.sent == [b"still possible\n"]


def test_parse_error_is_raised_and_the_next_packet_received(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.sendall(b"one\n!bad\ntwo\n")
    assert endpoint.recv_packet() == b"one"
    with pytest.raises(StreamProtocolParseError):
        endpoint.recv_packet()
    assert endpoint.recv_packet() == b"two"


def test_crash_of_the_protocol_is_a_runtime_error() -> None:
    class Crashing(StreamProtocol[Any, Any]):
        def build_packet_from_chunks(self) -> Generator[None, bytes, tuple[Any, bytes]]:
            yield
            raise LookupError

    with StreamReceiverEndpoint(Reader(b"abc\n"), Crashing(Line(b"\n")), MAX_RECV_SIZE) as endpoint:
        with pytest.raises(RuntimeError) as caught:
            endpoint.recv_packet()
        assert isinstance(caught.value.__cause__, LookupError)


def test_errors_of_the_transport_go_through(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    with StreamEndpoint(Both(b"on", ConnectionResetError(), b"e\n"), protocol, MAX_RECV_SIZE) as endpoint:
        with pytest.raises(ConnectionResetError):
            endpoint.recv_packet()
        assert endpoint.recv_packet() == b"one"


# --- time-outs


def test_bytes_stay_when_the_time_is_over(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.sendall(b"on")
    timed_out(lambda: endpoint.recv_packet(timeout=0.01))
    timed_out(lambda: endpoint.recv_packet(timeout=0))
    peer.sendall(b"e\n")
    assert endpoint.recv_packet(timeout=0) == b"one"


def test_time_out_covers_all_reads_of_a_packet(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    transport = Both(*[b"x"] * 1_000_000)
    with StreamEndpoint(transport, protocol, MAX_RECV_SIZE) as endpoint:
        timed_out(lambda: endpoint.recv_packet(timeout=0.01))
    assert transport.chunks
    assert transport.timeouts[0] == 0.01
    assert transport.timeouts == sorted(transport.timeouts, reverse=True)


def test_without_time_full_reads_are_followed_by_others() -> None:
    transport = Both(b"abcd", b"efgh", b"i\n")
    with StreamEndpoint(transport, LINE, 4) as endpoint:
        assert endpoint.recv_packet(timeout=0) == b"abcdefghi"
    assert transport.timeouts == [0, 0, 0]


def test_without_time_a_short_read_is_the_last_one() -> None:
    transport = Both(b"abcd", b"efg", b"h\n")
    with StreamEndpoint(transport, LINE, 4) as endpoint:
        timed_out(lambda: endpoint.recv_packet(timeout=0))
        assert transport.timeouts == [0, 0]
        assert endpoint.recv_packet(timeout=0) == b"abcdefgh"


def test_without_time_full_buffers_are_followed_by_others() -> None:
    class FourBytes(BufferedProtocolByGenerators):
        def create_buffer(self, sizehint: int) -> bytearray:
            return bytearray(4)

        def build_packet_from_buffer(self, buffer: Any) -> Generator[int | None, int, tuple[Any, Any]]:
            packet = b""
            while not packet.endswith(b"\n"):
                nbytes = yield 0
                packet += bytes(buffer[:nbytes])
            return packet, b""

    transport = Both(b"abcd", b"ef\n", b"gh", b"i\n")
    with StreamEndpoint(transport, FourBytes(Line(b"\n")), MAX_RECV_SIZE) as endpoint:
        assert endpoint.recv_packet(timeout=0) == b"abcdef\n"
        timed_out(lambda: endpoint.recv_packet(timeout=0))
        assert endpoint.recv_packet(timeout=0) == b"ghi\n"


def test_recv_packet_waits_for_ever_if_need_be(endpoint: Endpoint, peer: socket.socket, waits: Waits) -> None:
    call = InThread(endpoint.recv_packet)
    waits.wait_for_start()
    peer.sendall(b"on")
    waits.wait_for_start()
    peer.sendall(b"e\n")
    assert call.result() == b"one"


# --- sending


def test_packets_arrive(endpoint: Endpoint, peer: socket.socket) -> None:
    for packet in (b"one", b"two"):
        endpoint.send_packet(packet)
    assert peer.recv(100) == b"one\ntwo\n"


def test_chunks_are_handed_over_in_one_piece_with_the_time_out() -> None:
    class Noting(Writer):
        def send_all(self, data: Any, timeout: float) -> None:
            calls.append((data, timeout))

    calls: list[Any] = []
    with StreamSenderEndpoint(Noting(), ProtocolByGenerators(Line(b"\n"))) as endpoint:
        endpoint.send_packet(b"abc")
        endpoint.send_packet(b"def", timeout=3)
    assert calls == [(b"abc\n", math.inf), (b"def\n", 3)]


@pytest.mark.parametrize("method", ["send_packet", "send_packet_with_ancillary"])
def test_crash_while_encoding_sends_nothing(method: str) -> None:
    class Crashing(StreamProtocol[Any, Any]):
        def generate_chunks(self, packet: Any) -> Generator[bytes]:
            yield b"some"
            raise LookupError

    transport = Writer()
    with StreamSenderEndpoint(transport, Crashing(Line(b"\n"))) as endpoint:
        arguments: list[Any] = [b"abc"] if method == "send_packet" else [b"abc", []]
        with pytest.raises(RuntimeError) as caught:
            getattr(endpoint, method)(*arguments)
        assert isinstance(caught.value.__cause__, LookupError)
    assert transport.sent == []


def test_packet_without_bytes_sends_nothing() -> None:
    class Silent(StreamProtocol[Any, Any]):
        def generate_chunks(self, packet: Any) -> Generator[bytes]:
            yield from ()

    transport = Writer()
    with StreamSenderEndpoint(transport, Silent(Line(b"\n"))) as endpoint:
        endpoint.send_packet(b"abc")
    assert transport.sent == []


def test_send_packet_gives_up_in_time(endpoint: Endpoint, peer: socket.socket) -> None:
    timed_out(lambda: endpoint.send_packet(b"x" * (1 << 24), timeout=0.01))


# --- half-closing


def test_send_eof_ends_sending_only(endpoint: Endpoint, peer: socket.socket) -> None:
    endpoint.send_packet(b"last")
    endpoint.send_eof()
    endpoint.send_eof()
    assert peer.recv(100) == b"last\n"
    assert peer.recv(100) == b""
    peer.sendall(b"answer\n")
    assert endpoint.recv_packet() == b"answer"
    assert not endpoint.is_closed()


def test_after_send_eof_sending_is_refused_without_the_transport() -> None:
    transport = Both()
    with StreamEndpoint(transport, LINE, MAX_RECV_SIZE) as endpoint:
        endpoint.send_eof()
        endpoint.send_eof()
        assert transport.half_closes == 1
        with pytest.raises(RuntimeError):
            endpoint.send_packet(b"abc")
        with pytest.raises(RuntimeError):
            endpoint.send_packet_with_ancillary(b"abc", [])
    assert transport.sent == []


def test_send_eof_that_is_refused_leaves_sending() -> None:
    transport = Both()
    transport.refuses_eof = True
    with StreamEndpoint(transport, LINE, MAX_RECV_SIZE) as endpoint:
        for _ in range(2):
            with pytest.raises(UnsupportedOperation):
                endpoint.send_eof()
        endpoint.send_packet(b"abc")
    assert transport.half_closes == 2
    assert transport.sent == [b"abc\n"]


# --- ancillary data

CMSG_SPACE = socket.CMSG_SPACE(array.array("i").itemsize)
RIGHTS = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]).tobytes())]


def test_ancillary_data_is_handed_over_before_the_packet_is_parsed(endpoint: Endpoint, peer: socket.socket) -> None:
    received: list[int] = []
    peer.sendmsg([b"!bad\n"], RIGHTS)
    with pytest.raises(StreamProtocolParseError):
        endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: received.append(close_received(raw)))
    peer.sendall(b"good\n")
    packet = endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: received.append(close_received(raw)))
    assert packet == b"good"
    assert received == [1, 0]


def test_kept_packet_comes_without_ancillary_data(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.sendall(b"one\ntwo\n")
    assert endpoint.recv_packet() == b"one"
    assert endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: pytest.fail("was called")) == b"two"


def test_incomplete_packet_with_ancillary_data_is_kept(endpoint: Endpoint, peer: socket.socket) -> None:
    received: list[Any] = []
    peer.sendall(b"on")
    with pytest.raises(EOFError):
        endpoint.recv_packet_with_ancillary(CMSG_SPACE, received.append)
    assert received == [[]]
    peer.sendall(b"e\n")
    assert endpoint.recv_packet() == b"one"


def test_end_of_stream_comes_without_ancillary_data(endpoint: Endpoint, peer: socket.socket) -> None:
    peer.close()
    for _ in range(2):
        with pytest.raises(ConnectionAbortedError):
            endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: pytest.fail("was called"))


def test_callback_that_fails_is_a_runtime_error_and_drops_the_bytes(endpoint: Endpoint, peer: socket.socket) -> None:
    def fail(raw: Any) -> None:
        raise LookupError

    peer.sendall(b"one\n")
    with pytest.raises(RuntimeError) as caught:
        endpoint.recv_packet_with_ancillary(CMSG_SPACE, fail)
    assert isinstance(caught.value.__cause__, LookupError)
    peer.sendall(b"two\n")
    assert endpoint.recv_packet() == b"two"


def test_ancillary_data_is_waited_for_in_time(endpoint: Endpoint, peer: socket.socket) -> None:
    timed_out(lambda: endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: None, timeout=0))
    peer.sendall(b"one\n")
    assert endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: None, timeout=PATIENCE) == b"one"


def test_ancillary_data_is_sent_with_the_packet(endpoint: Endpoint, peer: socket.socket) -> None:
    endpoint.send_packet_with_ancillary(b"abc", RIGHTS)
    data, raw, _, _ = peer.recvmsg(100, CMSG_SPACE)
    assert data == b"abc\n"
    assert close_received(raw) == 1


def test_ancillary_data_with_too_large_a_packet_is_refused(endpoint: Endpoint) -> None:
    with pytest.raises(OSError) as caught:
        endpoint.send_packet_with_ancillary(b"x" * (1 << 24), RIGHTS)
    assert caught.value.errno == errno.EMSGSIZE


def test_transport_may_not_support_ancillary_data() -> None:
    with StreamEndpoint(Both(), LINE, MAX_RECV_SIZE) as endpoint:
        with pytest.raises(UnsupportedOperation):
            endpoint.recv_packet_with_ancillary(CMSG_SPACE, lambda raw: None)
        with pytest.raises(UnsupportedOperation):
            endpoint.send_packet_with_ancillary(b"abc", [])


# --- closing, facts


def test_close_closes_the_transport_and_forgets_bytes(protocol: AnyStreamProtocolType[Any, Any]) -> None:
    transport = Both(b"one\ntwo\n")
    endpoint: Endpoint = StreamEndpoint(transport, protocol, MAX_RECV_SIZE)
    assert endpoint.recv_packet() == b"one"
    endpoint.close()
    assert transport.closed
    assert endpoint.is_closed()
    with pytest.raises(ConnectionAbortedError):
        endpoint.recv_packet()


def test_close_forgets_bytes_even_if_it_fails() -> None:
    class Failing(Both):
        def close(self) -> None:
            super().close()
            raise OSError("no")

    endpoint: Endpoint = StreamEndpoint(Failing(b"one\ntwo\n"), LINE, MAX_RECV_SIZE)
    assert endpoint.recv_packet() == b"one"
    with pytest.raises(OSError, match="no"):
        endpoint.close()
    with pytest.raises(ConnectionAbortedError):
        endpoint.recv_packet()


def test_closed_endpoint_raises_what_the_transport_raises(endpoint: Endpoint) -> None:
    endpoint.close()
    for call in (endpoint.recv_packet, lambda: endpoint.send_packet(b"abc")):
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EBADF


def test_one_thread_may_send_while_another_one_receives(endpoint: Endpoint, peer: socket.socket, waits: Waits) -> None:
    packets = [str(i).encode() * 100 for i in range(1000)]
    receiver = InThread(lambda: [endpoint.recv_packet() for _ in packets])
    waits.wait_for_start()

    def send_all() -> None:
        for packet in packets:
            endpoint.send_packet(packet)
        endpoint.send_eof()

    sender = InThread(send_all)
    for chunk in itertools.takewhile(bool, iter(lambda: peer.recv(1 << 16), None)):
        peer.sendall(chunk)
    sender.result()
    assert receiver.result() == packets
