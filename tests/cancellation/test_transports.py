"""Cancel the calls of transports and endpoints at each of their suspensions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.cancellation.links import Links, read_late, read_late_and_close, send_in_pieces
from tests.support.background import settle, spawn
from tests.support.interruptions import Interruption, swept
from tests.support.lines import line_protocol, text_protocol

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.endpoints.datagram import AsyncDatagramEndpoint
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

EVERY_BACKEND = True

LARGE = b"x" * 400_000
"""More than the small buffers of the system and those of the library hold together."""


async def _receive_into(transport: AsyncStreamTransport) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: await transport.recv_into(buffer)])


# ------------------------------------------------------------------------------------------------------------- streams


@swept
async def test_a_cancelled_connection_attempt_leaves_nothing(interrupt: Interruption, transports: Links) -> None:
    async with transports.echo_service() as address:
        outcome = await interrupt(transports.open_transport(address))
        if (transport := outcome.result) is not None:
            await transport.send_all(b"hello\n")
            assert await transport.recv(100) == b"hello\n"
            await transport.aclose()


@pytest.mark.parametrize(
    "receive",
    [pytest.param(lambda transport: transport.recv(100), id="recv"), pytest.param(_receive_into, id="recv_into")],
)
@swept
async def test_receiving_loses_nothing(
    interrupt: Interruption,
    transports: Links,
    receive: Callable[[AsyncStreamTransport], Coroutine[Any, Any, bytes]],
) -> None:
    async with transports.transport() as (transport, peer):
        spawn(send_in_pieces(peer, b"first", b"second"))
        received = b""
        while len(received) < 11:
            if interrupt.cancelled:
                received += await receive(transport)
            else:
                received += (await interrupt(receive(transport))).result or b""
        assert received == b"firstsecond"


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda transport: transport.send_all(LARGE), id="send_all"),
        pytest.param(
            lambda transport: transport.send_all_from_iterable([LARGE[:10], LARGE[10:]]), id="send_all_from_iterable"
        ),
    ],
)
@swept
async def test_sending_goes_on_after_a_cancelled_call(
    interrupt: Interruption,
    transports: Links,
    send: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
) -> None:
    async with transports.transport(small_buffers=True) as (transport, peer):
        reading = spawn(read_late_and_close(peer))
        outcome = await interrupt(send(transport))
        try:
            await transport.send_all(b"next")
        except ConnectionAbortedError as exc:  # nothing can follow a part of a TLS record
            if not outcome.cancelled or "in the middle of a TLS record" not in str(exc):
                raise
            return
        await transport.aclose()
        received = await reading.result()
        assert received.endswith(b"next")
        sent = received.removesuffix(b"next")
        assert LARGE.startswith(sent) if outcome.cancelled else sent == LARGE


@swept
async def test_half_closing_may_be_repeated(interrupt: Interruption, plain_streams: Links) -> None:
    async with plain_streams.transport(small_buffers=True) as (transport, peer):
        sending = spawn(transport.send_all(LARGE))
        reading = spawn(read_late(peer))
        await sending.result()
        await interrupt(transport.send_eof())
        await transport.send_eof()
        assert await reading.result() == LARGE
        await peer.send(b"answer")
        assert await transport.recv(100) == b"answer"


@swept
async def test_a_cancelled_close_closes(interrupt: Interruption, transports: Links) -> None:
    async with transports.transport(small_buffers=True) as (transport, peer):
        sending = spawn(transport.send_all(LARGE))
        receiving = spawn(transport.recv(100))
        await settle()
        reading = spawn(read_late_and_close(peer))
        outcome = await interrupt(transport.aclose())
        assert transport.is_closing()
        await sending.wait()
        await receiving.wait()
        with pytest.raises(OSError):
            await transport.send_all(b"late")
        with contextlib.suppress(OSError):  # TLS reports the end of the stream
            assert await transport.recv(100) == b""
        await transport.aclose()
        assert sending.error is None or isinstance(sending.error, OSError)
        assert receiving.done()
        received = await reading.result()
        assert LARGE.startswith(received)
        if sending.error is None and not outcome.cancelled:
            assert received == LARGE


@swept
async def test_an_endpoint_loses_no_packet(interrupt: Interruption, transports: Links) -> None:
    async with transports.transport() as (transport, peer):
        endpoint: AsyncStreamEndpoint[str, str] = AsyncStreamEndpoint(transport, line_protocol(), 1024)
        expected = ["first", "second"]
        spawn(send_in_pieces(peer, b"fi", b"rst\nsec", b"ond\n"))
        if not (outcome := await interrupt(endpoint.recv_packet())).cancelled:
            assert outcome.result == expected.pop(0)
        assert [await endpoint.recv_packet() for _ in expected] == expected


@swept
async def test_an_endpoint_can_be_used_after_cancelled_calls(interrupt: Interruption, plain_streams: Links) -> None:
    async with plain_streams.transport(small_buffers=True) as (transport, peer):
        endpoint: AsyncStreamEndpoint[str, str] = AsyncStreamEndpoint(transport, line_protocol(), 1024)
        reading = spawn(read_late(peer))
        packet = LARGE.decode()
        outcome = await interrupt(endpoint.send_packet(packet))
        await endpoint.send_packet("next")
        if not interrupt.cancelled:
            await interrupt(endpoint.send_eof())
        await endpoint.send_eof()
        received = await reading.result()
        assert received.endswith(b"next\n")
        sent = received.removesuffix(b"next\n")
        assert (LARGE + b"\n").startswith(sent) if outcome.cancelled else sent == LARGE + b"\n"


@swept
async def test_a_cancelled_close_of_an_endpoint_closes(interrupt: Interruption, transports: Links) -> None:
    async with transports.transport(small_buffers=True) as (transport, peer):
        endpoint: AsyncStreamEndpoint[str, str] = AsyncStreamEndpoint(transport, line_protocol(), 1024)
        reading = spawn(read_late_and_close(peer))
        await endpoint.send_packet("x" * 60_000)
        await interrupt(endpoint.aclose())
        assert endpoint.is_closing()
        with pytest.raises(OSError):
            await endpoint.send_packet("late")
        with pytest.raises(OSError):
            await endpoint.recv_packet()
        await reading.result()


# ----------------------------------------------------------------------------------------------------------- datagrams


@swept
async def test_a_cancelled_opening_of_datagrams_leaves_nothing(interrupt: Interruption, datagrams: Links) -> None:
    with datagrams.datagram_socket() as sock:
        outcome = await interrupt(datagrams.open_datagram_transport(sock.getsockname()))
        if outcome.result is not None:
            await outcome.result.aclose()


@swept
async def test_receiving_datagrams_loses_nothing(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_transport() as (transport, peer):
        expected = [b"first", b"second"]
        spawn(send_in_pieces(peer, *expected))
        if not (outcome := await interrupt(transport.recv())).cancelled:
            assert outcome.result == expected.pop(0)
        assert [await transport.recv() for _ in expected] == expected


@swept
async def test_a_datagram_endpoint_loses_nothing(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_transport() as (transport, peer):
        endpoint: AsyncDatagramEndpoint[str, str] = AsyncDatagramEndpoint(transport, text_protocol())
        expected = ["first", "second"]
        spawn(send_in_pieces(peer, b"first", b"second"))
        if not (outcome := await interrupt(endpoint.recv_packet())).cancelled:
            assert outcome.result == expected.pop(0)
        assert [await endpoint.recv_packet() for _ in expected] == expected


@swept
async def test_sending_datagrams_into_a_full_socket_goes_on(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_transport() as (transport, peer):
        await _fill(datagrams.backend, transport.send)

        async def read() -> list[bytes]:
            received: list[bytes] = []
            while not received or received[-1] != b"end":
                received.append(await peer.receive())
            return received

        reading = spawn(read())
        outcome = await interrupt(transport.send(b"large" * 100))
        await transport.send(b"end")
        received = await reading.result()
        assert received[-1] == b"end"
        assert outcome.cancelled or received[-2] == b"large" * 100


async def _fill(backend: AsyncBackend, send: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
    """Send until a call has to wait, but not for ever: the system drops datagrams of UDP."""
    for _ in range(50):
        with backend.move_on_after(0.002) as scope:
            await send(b"filler")
        if scope.cancelled_caught():
            return


@swept
async def test_a_cancelled_close_of_datagrams_closes(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_transport() as (transport, _peer):
        receiving = spawn(transport.recv())
        await settle()
        await interrupt(transport.aclose())
        assert transport.is_closing()
        await receiving.wait()
        assert isinstance(receiving.error, OSError)
        with pytest.raises(OSError):
            await transport.send(b"late")
        with contextlib.suppress(OSError):
            await transport.aclose()


# ----------------------------------------------------------------------------------------------------------- listeners


@swept
async def test_a_cancelled_opening_of_listeners_leaves_nothing(interrupt: Interruption, backend: AsyncBackend) -> None:
    outcome = await interrupt(backend.create_tcp_listeners(["127.0.0.1", "localhost"], 0, 10))
    for listener in outcome.result or ():
        await listener.aclose()


@swept
async def test_a_cancelled_listener_serves_again(interrupt: Interruption, backend: AsyncBackend, path: str) -> None:
    async with await backend.create_unix_stream_listener(path, 10) as listener:

        async def echo(transport: AsyncStreamTransport) -> None:
            async with transport:
                await transport.send_all(await transport.recv(100))

        async def ask() -> bytes:
            async with await backend.create_unix_stream_connection(path) as transport:
                await transport.send_all(b"hello")
                return await transport.recv(100)

        stop = backend.open_cancel_scope()

        async def serve() -> None:
            with stop:
                async with backend.create_task_group() as tasks:
                    await listener.serve(echo, tasks)

        async def ask_and_stop() -> None:
            await ask()
            stop.cancel()

        asking = spawn(ask_and_stop())
        await interrupt(serve())
        serving = spawn(listener.serve(echo))
        await asking.wait()  # a cancelled listener need not answer
        assert await ask() == b"hello"
        serving.cancel()
        await serving.wait()
