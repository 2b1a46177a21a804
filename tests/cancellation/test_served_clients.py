"""Cancel what a handler awaits of its client at each suspension."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.cancellation.links import STREAMS, Links, read_late, read_late_and_close, send_in_pieces
from tests.support.background import sleep, spawn, until
from tests.support.certificates import the_certificates
from tests.support.interruptions import Interruption, Outcome, swept
from tests.support.lines import line_protocol
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Requests, run
from tests.support.tls_servers import TLSClient

from easynetwork.exceptions import ClientClosedError
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler, INETClientAttribute

EVERY_BACKEND = True

LARGE = "x" * 400_000
"""More than the small buffers of the system and those of the library hold together."""

Body = Callable[[Client], Awaitable[None]]


class OneCall(AsyncStreamRequestHandler[str, str]):
    """Runs the body of a test once, in the task of the connection. Then it answers each line with itself.

    Parameters:
        body: the body.
        place: where it runs: the name of a method.
    """

    def __init__(self, body: Body, place: str = "handle") -> None:
        self._body = body
        self._place = place
        self._has_run = False
        self.has_ended = False
        self.error: BaseException | None = None

    async def on_connection(self, client: Client, /) -> None:
        if self._place == "on_connection":
            await self._run(client)

    async def handle(self, client: Client, /) -> Requests:
        if not self._has_run:
            await self._run(client)
        while True:
            await client.send_packet((yield None))

    async def _run(self, client: Client) -> None:
        self._has_run = True
        client.extra(INETClientAttribute.socket).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        try:
            await self._body(client)
        except BaseException as exc:
            self.error = exc
            raise
        finally:
            self.has_ended = True


@contextlib.asynccontextmanager
async def served(links: Links, handler: OneCall) -> AsyncIterator[Peer]:
    """Give a peer that is connected to a server. Both end with the block."""
    server: Any
    if links.is_unix:
        server = AsyncUnixStreamServer(links.new_path(), line_protocol(), handler, links.backend)
    else:
        ssl = the_certificates().server_context() if links.is_tls else None
        server = AsyncTCPNetworkServer("127.0.0.1", 0, line_protocol(), handler, links.backend, ssl=ssl)
    async with run(server) as it:
        peer = await it.connect(receive_buffer=1 << 14)
        if links.is_tls:
            peer = secure = TLSClient(peer.sock, the_certificates().client_context())
            await secure.below.handshake()
        yield peer
        await until(lambda: handler.has_ended)
    if handler.error is not None:
        raise handler.error


@pytest.mark.parametrize("place", ["handle", "on_connection"])
@swept
async def test_receiving_loses_nothing(interrupt: Interruption, streams: Links, place: str) -> None:
    received: list[str] = []

    async def body(client: Client) -> None:
        outcome = await interrupt(client.recv_packet())
        received.append("-" if outcome.result is None else outcome.result)
        received.append(await client.recv_packet())
        if outcome.cancelled:
            received.append(await client.recv_packet())

    async with served(streams, OneCall(body, place)) as peer:
        await send_in_pieces(peer, b"fi", b"rst\nsec", b"ond\nthird\n")
        assert await peer.line() == b"third"
        assert received in (["first", "second"], ["-", "first", "second"])


@swept
async def test_yield_loses_nothing(interrupt: Interruption, streams: Links) -> None:
    """The generator of the handler is resumed by hand, so that its `yield` is what is cancelled."""
    received: list[str] = []

    class Yielding(OneCall):
        async def handle(self, client: Client, /) -> Requests:
            await self._run(client)
            while True:
                request: str | None = None
                with client.backend().open_cancel_scope() as scope:
                    if len(received) < interrupt.nth:
                        interrupt.suspensions += 1
                        spawn(self._cancel_soon(scope))
                    request = yield None
                if request is not None:
                    received.append(request)
                    await client.send_packet(request)

        async def _cancel_soon(self, scope: Any) -> None:
            await sleep(0.001 * interrupt.nth)
            scope.cancel()

    async def nothing(client: Client) -> None:
        pass

    if interrupt.nth > 3:
        return
    async with served(streams, Yielding(nothing)) as peer:
        await send_in_pieces(peer, b"fi", b"rst\nsec", b"ond\nthird\n")
        assert await peer.lines(3) == [b"first", b"second", b"third"]
    assert received == ["first", "second", "third"]


@swept
async def test_sending_goes_on_after_a_cancelled_packet(interrupt: Interruption, streams: Links) -> None:
    outcomes: list[Outcome[None]] = []

    async def body(client: Client) -> None:
        outcomes.append(await interrupt(client.send_packet(LARGE)))
        try:
            await client.send_packet("next")
        except ConnectionAbortedError as exc:  # nothing can follow a part of a TLS record
            if not outcomes[0].cancelled or "in the middle of a TLS record" not in str(exc):
                raise
        await client.aclose()

    async with served(streams, OneCall(body)) as peer:
        received = await read_late_and_close(peer)
        packet = LARGE.encode() + b"\n"
        if received.endswith(b"next\n"):
            received = received.removesuffix(b"next\n")
        else:
            assert outcomes[0].cancelled
        assert packet.startswith(received)
        assert outcomes[0].cancelled or packet == received


@swept
async def test_other_tasks_send_after_a_cancelled_packet(interrupt: Interruption, plain_streams: Links) -> None:
    outcomes: list[Outcome[None]] = []

    async def body(client: Client) -> None:
        first = spawn(client.send_packet(LARGE))
        await sleep(0.001)
        last = spawn(client.send_packet("last"))
        outcomes.append(await interrupt(client.send_packet("between")))
        await first.result()
        await last.result()
        await client.aclose()

    async with served(plain_streams, OneCall(body)) as peer:
        lines = (await read_late_and_close(peer)).split(b"\n")
        assert lines.pop() == b""
        assert lines.pop(0) == LARGE.encode()
        assert sorted(lines) == [b"between", b"last"] or (outcomes[0].cancelled and lines == [b"last"])


@swept
async def test_a_cancelled_close_closes(interrupt: Interruption, streams: Links) -> None:
    outcomes: list[Outcome[None]] = []

    async def body(client: Client) -> None:
        sending = spawn(client.send_packet(LARGE))
        await sleep(0.001)
        outcomes.append(await interrupt(client.aclose()))
        assert client.is_closing()
        await sending.wait()
        for call in (lambda: client.send_packet("late"), client.recv_packet):
            with pytest.raises(ClientClosedError):
                await call()
        await client.aclose()

    async with served(streams, OneCall(body)) as peer:
        received = await read_late_and_close(peer)
        assert (LARGE.encode() + b"\n").startswith(received)
        await until(lambda: outcomes)
        assert outcomes[0].cancelled or len(received) == len(LARGE) + 1


@swept
async def test_half_closing_may_be_repeated(interrupt: Interruption, plain_streams: Links) -> None:
    received: list[str] = []

    async def body(client: Client) -> None:
        sending = spawn(client.send_packet(LARGE))
        await sleep(0.001)
        await interrupt(client.send_eof())
        await client.send_eof()
        await sending.result()
        received.append(await client.recv_packet())
        await client.aclose()

    async with served(plain_streams, OneCall(body)) as peer:
        assert len(await read_late(peer)) == len(LARGE) + 1
        await peer.send(b"request\n")
        await until(lambda: received)
        assert received == ["request"]


@pytest.mark.parametrize("kind", [kind for kind in STREAMS if kind != "tls"])
@swept
async def test_a_cancelled_upgrade_to_tls_closes_the_connection(
    interrupt: Interruption, kind: str, new_links: Callable[[str], Links]
) -> None:
    outcomes: list[Outcome[None]] = []

    async def body(client: Client) -> None:
        outcome = await interrupt(client.start_tls(the_certificates().server_context()))
        if outcome.cancelled:
            assert client.is_closing()
            for call in (lambda: client.send_packet("late"), client.recv_packet):
                with pytest.raises(ClientClosedError):
                    await call()
        outcomes.append(outcome)

    async with served(new_links(kind), OneCall(body)) as peer:
        secure = TLSClient(peer.sock, the_certificates().client_context())
        with contextlib.suppress(OSError):
            await secure.below.handshake()
            await until(lambda: outcomes)
            if not outcomes[0].cancelled:
                assert await secure.ask(b"hello") == b"hello"
        await until(lambda: outcomes)
