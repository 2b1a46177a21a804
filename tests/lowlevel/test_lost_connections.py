"""Transports whose network gives up. How the system comes to that is another matter, see the conformance kit."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest
from tests.support.blocking import PATIENCE
from tests.support.blocking_tls import shakes_hands
from tests.support.certificates import Certificates, the_certificates
from tests.support.faulty_sockets import LOST, FaultySocket, faulty
from tests.support.sockets import stream_pair

from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.backend._asyncio.stream.protocol import AsyncioStream
from easynetwork.lowlevel.api_async.backend._asyncio.stream.tls import TLSFilter
from easynetwork.lowlevel.api_async.backend._asyncio.stream.transport import AsyncioStreamTransport
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint
from easynetwork.lowlevel.api_sync.transports.abc import StreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import (
    SocketDatagramTransport,
    SocketStreamTransport,
    SSLStreamTransport,
)
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

every_code = pytest.mark.parametrize("code", LOST, ids=errno.errorcode.get)


@contextmanager
def aborts(code: int) -> Iterator[None]:
    with pytest.raises(ConnectionAbortedError) as caught:
        yield
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == code


# ---------------------------------------------------------------------------------------------------------- blocking


def plain(ours: socket.socket, peer: socket.socket) -> StreamTransport:
    return SocketStreamTransport(ours, math.inf)


def encrypted(ours: socket.socket, peer: socket.socket) -> StreamTransport:
    server = shakes_hands(peer, the_certificates().server_context())
    transport = SSLStreamTransport(
        ours, the_certificates().client_context(), math.inf, server_hostname="localhost", standard_compatible=False
    )
    server.result().close()
    return transport


@every_code
@pytest.mark.parametrize("wrap", [plain, encrypted])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_blocking_transport_is_aborted(family: socket.AddressFamily, wrap: Callable[..., Any], code: int) -> None:
    sock, peer = stream_pair(family)
    ours = faulty(sock)
    with peer, wrap(ours, peer) as transport:
        ours.fault = code
        calls: list[Callable[[], object]] = [
            lambda: transport.recv(10, PATIENCE),
            lambda: transport.recv(10, 0),
            lambda: transport.recv_into(bytearray(10), PATIENCE),
            lambda: transport.recv_into(bytearray(10), 0),
            lambda: transport.send(b"abc", PATIENCE),
            lambda: transport.send_all(b"abc", PATIENCE),
            lambda: transport.send_all_from_iterable([b"abc", b"def"], PATIENCE),
        ]
        for call in calls:
            with aborts(code):
                call()


@every_code
def test_blocking_transport_is_aborted_with_ancillary_data(code: int) -> None:
    sock, peer = stream_pair(socket.AF_UNIX)
    ours = faulty(sock)
    with peer, SocketStreamTransport(ours, math.inf) as transport:
        ours.fault = code
        with aborts(code):
            transport.recv_with_ancillary(10, 10, PATIENCE)
        with aborts(code):
            transport.recv_with_ancillary_into(bytearray(10), 10, PATIENCE)
        with aborts(code):
            transport.send_all_with_ancillary([b"abc"], [], PATIENCE)


@every_code
@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
@pytest.mark.parametrize("timeout", [PATIENCE, None])
def test_blocking_endpoint_is_aborted(protocol_class: Any, timeout: float | None, code: int) -> None:
    sock, peer = stream_pair(socket.AF_INET)
    ours = faulty(sock)
    protocol = protocol_class(StringLineSerializer())
    with peer, StreamEndpoint(SocketStreamTransport(ours, math.inf), protocol, 1000) as endpoint:
        ours.fault = code
        with aborts(code):
            endpoint.recv_packet(timeout=timeout)
        with aborts(code):
            endpoint.send_packet("x", timeout=timeout)


@every_code
def test_datagram_transport_says_what_the_network_has_reported(code: int) -> None:
    """Datagrams have no connection that could be lost. The text tells ``ETIMEDOUT`` from a time-out."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        ours = FaultySocket(type=socket.SOCK_DGRAM)
        ours.connect(peer.getsockname())
        endpoint = DatagramEndpoint(SocketDatagramTransport(ours, math.inf), DatagramProtocol(StringLineSerializer()))
        with endpoint:
            with pytest.raises(TimeoutError) as caught:
                endpoint.recv_packet(timeout=0.001)
            assert caught.value.strerror != os.strerror(errno.ETIMEDOUT)
            ours.fault = code
            for call in (
                lambda: endpoint.recv_packet(timeout=PATIENCE),
                lambda: endpoint.recv_packet(timeout=None),
                lambda: endpoint.send_packet("x"),
            ):
                with pytest.raises(OSError) as reported:
                    call()
                assert (reported.value.errno, reported.value.strerror) == (code, os.strerror(code))
                assert not isinstance(reported.value, ConnectionError)


# ------------------------------------------------------------------------------------------------------ asynchronous


async def broken(backend: AsyncBackend, code: int, family: socket.AddressFamily) -> AsyncStreamTransport:
    """Return a transport that has lost its connection for *code*; those of asyncio are told by their loop."""
    if isinstance(backend, AsyncIOBackend):
        callbacks = AsyncioStream(asyncio.get_running_loop())
        callbacks.connection_made(Mock(spec=asyncio.Transport))
        callbacks.connection_lost(OSError(code, os.strerror(code)))
        return AsyncioStreamTransport(backend, callbacks)
    sock, peer = stream_pair(family)
    peer.close()
    ours = faulty(sock)
    ours.fault = code
    return await backend.wrap_stream_socket(ours)


@every_code
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_transport_is_aborted(backend: AsyncBackend, family: socket.AddressFamily, code: int) -> None:
    async with await broken(backend, code, family) as transport:
        for _ in range(2):
            with aborts(code):
                await transport.recv(10)
            with aborts(code):
                await transport.recv_into(bytearray(10))
            with aborts(code):
                await transport.send_all(b"abc")


@every_code
@pytest.mark.not_on_trio("which reads no socket before it is asked to")
async def test_unix_transport_is_aborted(backend: AsyncBackend, code: int) -> None:
    sock, peer = stream_pair(socket.AF_UNIX)
    ours = faulty(sock)
    ours.fault = code
    with peer:
        async with await backend.wrap_stream_socket(ours) as transport:
            peer.sendall(b"x")
            for _ in range(2):
                with aborts(code):
                    await transport.recv(10)
                with aborts(code):
                    await transport.recv_with_ancillary(10, 10)


class Broken(AsyncStreamTransport):
    """A transport as a user may write it, which raises what the system says."""

    def __init__(self, backend: AsyncBackend, code: int) -> None:
        self._backend = backend
        self._error = OSError(code, os.strerror(code))
        self._closing = False

    async def recv_into(self, buffer: object) -> int:
        raise self._error

    async def send_all(self, data: object) -> None:
        raise self._error

    async def send_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    async def aclose(self) -> None:
        self._closing = True

    def backend(self) -> AsyncBackend:
        return self._backend


@every_code
@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
async def test_endpoint_is_aborted_over_any_transport(backend: AsyncBackend, protocol_class: Any, code: int) -> None:
    endpoint: AsyncStreamEndpoint[str, str] = AsyncStreamEndpoint(
        Broken(backend, code), protocol_class(StringLineSerializer()), 1000
    )
    async with endpoint:
        with aborts(code):
            await endpoint.recv_packet()
        with aborts(code):
            await endpoint.send_packet("x")


@every_code
@pytest.mark.not_on_trio("TLS there awaits the transport below")
async def test_handshake_is_aborted(certificates: Certificates, code: int) -> None:
    callbacks = AsyncioStream(asyncio.get_running_loop())
    callbacks.connection_made(Mock(spec=asyncio.Transport, **{"is_closing.return_value": False}))
    engine = TLSEngine(certificates.client_context(), server_side=False, server_hostname="localhost")
    below = TLSFilter(callbacks, engine, 1)
    handshake = asyncio.ensure_future(below.handshake(b""))
    await asyncio.sleep(0)
    below.connection_lost(OSError(code, os.strerror(code)))
    with aborts(code):
        await handshake


@pytest.mark.parametrize("exc", [ssl.SSLError(ssl.SSL_ERROR_SSL, "no TLS"), ConnectionResetError(104, "reset"), None])
async def test_other_ends_are_as_they_were(exc: OSError | None) -> None:
    loop: Any = Mock(spec=asyncio.AbstractEventLoop)
    callbacks = AsyncioStream(loop)
    callbacks.connection_made(Mock(spec=asyncio.Transport))
    callbacks.connection_lost(exc)
    assert callbacks.error is exc
