"""`recv_packet` of a server's client: the end of the stream, what comes after it, and the end of the handler."""

from __future__ import annotations

import pytest
from tests.support.background import settle, until
from tests.support.stream_servers import Client, Handler, Requests, serving

EVERY_BACKEND = True


class Receiving(Handler):
    """Notes the error of `recv_packet`, then closes the connection."""

    error: Exception

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))
        try:
            await client.recv_packet()
        except ConnectionAbortedError as exc:
            self.error = exc
        await client.aclose()


class ReceivingAgain(Handler):
    """Calls `recv_packet` again after the end of the stream."""

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))
        with pytest.raises(ConnectionAbortedError):
            await client.recv_packet()
        with pytest.raises(ConnectionAbortedError):
            await client.recv_packet()
        self.diary.append("caught")
        await client.aclose()


class Returning(Handler):
    """Returns after the end of the stream, so that ``handle()`` is called again."""

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))
        try:
            await client.recv_packet()
        except ConnectionAbortedError:
            self.diary.append("caught")


class Yielding(Handler):
    """Yields again after the end of the stream."""

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet((yield None))
        try:
            await client.recv_packet()
        except ConnectionAbortedError:
            self.diary.append("caught")
        yield None


@pytest.mark.parametrize("handler_type", [ReceivingAgain, Returning, Yielding])
@pytest.mark.parametrize("end", ["half_close", "reset"])
async def test_connection_ends_after_a_handler_has_caught_the_end_of_the_stream(
    handler_type: type[Handler], end: str
) -> None:
    handler = handler_type()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        assert await peer.line() == b"a"
        getattr(peer, end)()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "caught", "disconnected"]


@pytest.mark.parametrize("end", ["half_close", "reset"])
async def test_recv_packet_tells_a_reset_from_the_end_as_that_of_a_client_does(end: str) -> None:
    # A relay passes the end on by send_eof(). After a reset it must not: what it has relayed would look complete.
    handler = Receiving()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        assert await peer.line() == b"a"
        getattr(peer, end)()
        await until(lambda: "disconnected" in handler.diary)
    if end == "reset":
        assert isinstance(handler.error.__cause__, ConnectionResetError)
        assert "the connection was lost" in str(handler.error)
    else:
        assert "the peer closed the connection" in str(handler.error)


class ClosedMeanwhile(Handler):
    """Waits in `recv_packet` until another task closes the client."""

    error: Exception

    async def handle(self, client: Client, /) -> Requests:
        yield None
        self.diary.append("waiting")
        try:
            await client.recv_packet()
        except ConnectionError as exc:
            self.error = exc


async def test_recv_packet_says_that_this_side_closed_the_connection() -> None:
    handler = ClosedMeanwhile()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        await until(lambda: "waiting" in handler.diary)
        await settle()
        await handler.client.aclose()
        await until(lambda: "disconnected" in handler.diary)
    assert "this side closed the connection" in str(handler.error)


class OnePerCall(Handler):
    """Receives one request by `recv_packet`, and returns. Its ``yield`` only makes it a generator."""

    async def handle(self, client: Client, /) -> Requests:
        await client.send_packet(await client.recv_packet())
        if client.is_closing():
            yield None


async def test_handle_is_called_again_after_a_request_that_it_got_by_recv_packet() -> None:
    async with serving(OnePerCall()) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\n")
        assert await peer.line() == b"a"
        assert await peer.line() == b"b"
