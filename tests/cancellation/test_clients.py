"""Cancel the calls of clients at each of their suspensions."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.cancellation.links import Links, TLSPeerOfClients, read_late, read_late_and_close, send_in_pieces
from tests.support.background import settle, sleep, spawn
from tests.support.certificates import the_certificates
from tests.support.descriptors import Gift, give, receive_message, received_text
from tests.support.interruptions import Interruption, Outcome, swept
from tests.support.peers import Peer

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.socket import SocketAncillary

EVERY_BACKEND = True

LARGE = "x" * 400_000
"""More than the small buffers of the system and those of the library hold together."""

Connecting = Callable[[Any], Awaitable[object]]


async def _iterate(client: Any) -> object:
    return await anext(client.iter_received_packets(timeout=0.05), None)


connecting = pytest.mark.parametrize(
    "connect",
    [
        pytest.param(lambda client: client.wait_connected(), id="wait_connected"),
        pytest.param(lambda client: client.__aenter__(), id="context"),
        pytest.param(lambda client: client.send_packet("first"), id="send_packet"),
        pytest.param(_iterate, id="iteration"),
    ],
)


@connecting
@swept
async def test_a_client_connects_after_a_cancelled_attempt(
    interrupt: Interruption, streams: Links, connect: Connecting
) -> None:
    async with streams.echo_service() as address:
        client = streams.new_client(address)
        await interrupt(connect(client))
        await client.send_packet("second")
        answer = await client.recv_packet()
        assert answer == "second" or (answer == "first" and await client.recv_packet() == "second")
        await client.aclose()


@connecting
@swept
async def test_a_datagram_client_connects_after_a_cancelled_attempt(
    interrupt: Interruption, datagrams: Links, connect: Connecting
) -> None:
    with datagrams.datagram_socket() as sock:
        client = datagrams.new_datagram_client(sock.getsockname())
        await interrupt(connect(client))
        await client.send_packet("second")
        sock.settimeout(5)
        answer = sock.recv(100)
        assert answer == b"second" or (answer == b"first" and sock.recv(100) == b"second")
        await client.aclose()


@swept
async def test_a_cancelled_attempt_that_others_wait_for_fails_for_one_task_only(
    interrupt: Interruption, streams: Links
) -> None:
    async with streams.echo_service() as address:
        client = streams.new_client(address)

        async def also_ask() -> str:
            await client.send_packet("second")
            answer: str = await client.recv_packet()
            return answer

        other = spawn(also_ask())
        await interrupt(client.wait_connected())
        assert await other.result() == "second"
        await client.aclose()


@swept
async def test_receiving_loses_nothing(interrupt: Interruption, streams: Links) -> None:
    async with streams.client() as (client, peer):
        expected = ["first", "second", "third"]
        spawn(send_in_pieces(peer, b"fi", b"rst\nsec", b"ond\nthird\n"))
        for call in (client.recv_packet(), client.recv_packet()):
            if interrupt.cancelled:
                call.close()
            elif not (outcome := await interrupt(call)).cancelled:
                assert outcome.result == expected.pop(0)
        assert [await client.recv_packet() for _ in expected] == expected


@swept
async def test_iterating_loses_nothing(interrupt: Interruption, streams: Links) -> None:
    async with streams.client() as (client, peer):
        expected = ["first", "second"]
        spawn(send_in_pieces(peer, b"fi", b"rst\nsec", b"ond\n"))
        packets = client.iter_received_packets(timeout=None)
        if not (outcome := await interrupt(anext(packets))).cancelled:
            assert outcome.result == expected.pop(0)
        assert [await anext(packets) for _ in expected] == expected


@swept
async def test_receiving_in_turn_loses_nothing(interrupt: Interruption, streams: Links) -> None:
    async with streams.client() as (client, peer):
        received: list[str | None] = []

        async def receive() -> None:
            received.append(await client.recv_packet())

        first = spawn(receive())
        spawn(send_in_pieces(peer, b"fi", b"rst\nsec", b"ond\n"))
        if not (outcome := await interrupt(client.recv_packet())).cancelled:
            received.append(outcome.result)
        await first.result()
        if len(received) < 2:
            await receive()
        assert received in (["first", "second"], ["second", "first"])


@swept
async def test_receiving_datagrams_loses_nothing(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_client() as (client, peer):
        expected = ["first", "second"]
        spawn(send_in_pieces(peer, b"first", b"second"))
        if not (outcome := await interrupt(client.recv_packet())).cancelled:
            assert outcome.result == expected.pop(0)
        assert [await client.recv_packet() for _ in expected] == expected


@swept
async def test_sending_goes_on_after_a_cancelled_packet(interrupt: Interruption, streams: Links) -> None:
    async with streams.client(small_buffers=True) as (client, peer):
        received = spawn(read_late_and_close(peer))
        outcome = await interrupt(client.send_packet(LARGE))
        try:
            await client.send_packet("next")
        except ConnectionAbortedError as exc:  # trio writes a part of a TLS record, which nothing can follow
            if not outcome.cancelled or "in the middle of a TLS record" not in str(exc):
                raise
            return
        await client.aclose()
        _check_sent(await received.result(), outcome.cancelled)


@swept
async def test_a_cancelled_sender_does_not_hold_up_those_behind_it(interrupt: Interruption, streams: Links) -> None:
    async with streams.client(small_buffers=True) as (client, peer):
        before = spawn(client.send_packet(LARGE))
        await settle()
        received = spawn(read_late_and_close(peer))
        outcome = await interrupt(client.send_packet("behind"))
        await before.result()
        await client.send_packet("next")
        await client.aclose()
        *lines, rest = (await received.result()).split(b"\n")
        assert rest == b""
        assert sorted(lines) in (
            [b"behind", b"next", LARGE.encode()],
            *([[b"next", LARGE.encode()]] if outcome.cancelled else []),
        )


@swept
async def test_sending_datagrams_goes_on(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_client() as (client, peer):
        outcome = await interrupt(client.send_packet("first"))
        await client.send_packet("next")
        answer = await peer.receive()
        if answer == b"first":
            answer = await peer.receive()
        else:
            assert outcome.cancelled
        assert answer == b"next"


@swept
async def test_half_closing_may_be_repeated(interrupt: Interruption, plain_streams: Links) -> None:
    async with plain_streams.client(small_buffers=True) as (client, peer):
        sending = spawn(client.send_packet(LARGE))
        await settle()
        received = spawn(read_late(peer))
        await interrupt(client.send_eof())
        await client.send_eof()
        await sending.result()
        assert await received.result() == LARGE.encode() + b"\n"
        await peer.send(b"answer\n")
        assert await client.recv_packet() == "answer"


@swept
async def test_a_cancelled_close_closes(interrupt: Interruption, streams: Links) -> None:
    async with streams.client(small_buffers=True) as (client, peer):
        sending = spawn(client.send_packet(LARGE))
        await settle()
        received = spawn(read_late_and_close(peer))
        outcome = await interrupt(client.aclose())
        assert client.is_closing()
        for call in (client.recv_packet, client.wait_connected, lambda: client.send_packet("late")):
            with pytest.raises(ClientClosedError):
                await call()
        await client.aclose()
        await client.send_eof()
        await sending.wait()
        data = await received.result()
        assert (LARGE.encode() + b"\n").startswith(data)
        assert sending.error is None or isinstance(sending.error, ConnectionError)
        if not outcome.cancelled:
            assert len(data) == len(LARGE) + 1


@swept
async def test_a_cancelled_close_of_datagrams_closes(interrupt: Interruption, datagrams: Links) -> None:
    async with datagrams.datagram_client() as (client, _peer):
        await interrupt(client.aclose())
        assert client.is_closing()
        with pytest.raises(ClientClosedError):
            await client.recv_packet()
        with pytest.raises(ClientClosedError):
            await client.send_packet("late")


@swept
async def test_a_close_while_connecting_closes(interrupt: Interruption, streams: Links) -> None:
    async with streams.echo_service() as address:
        client = streams.new_client(address)
        connecting = spawn(client.wait_connected())
        await settle()
        await interrupt(client.aclose())
        assert client.is_closing()
        await connecting.wait()
        assert connecting.error is None or isinstance(connecting.error, ClientClosedError)
        with pytest.raises(ClientClosedError):
            await client.recv_packet()
        await client.aclose()


@pytest.mark.parametrize("kind", ["tcp"])
@swept
async def test_a_cancelled_upgrade_to_tls_closes_the_connection(
    interrupt: Interruption, kind: str, backend: Any, tmp_path: Any
) -> None:
    async with Links(kind, backend, tmp_path).client() as (client, peer):
        accepting = spawn(_upgrade(peer))
        context = the_certificates().client_context()
        outcome = await interrupt(client.start_tls(context, server_hostname="localhost"))
        if outcome.cancelled:
            assert client.is_closing()
            for call in (client.recv_packet, lambda: client.send_packet("late")):
                with pytest.raises(ClientClosedError):
                    await call()
            peer.close()
        else:
            secure = await accepting.result()
            await client.send_packet("first")
            assert await secure.line() == b"first"


async def _upgrade(peer: Peer) -> Peer:
    secure = TLSPeerOfClients(peer.sock)
    with contextlib.suppress(OSError):
        await secure.below.handshake()
    return secure


def _check_sent(received: bytes, cancelled: bool) -> None:
    """Check that *received* is the large packet, or any part of it if it was cancelled, and then the next one."""
    packet, following = LARGE.encode() + b"\n", b"next\n"
    assert received.endswith(following)
    sent = received.removesuffix(following)
    assert packet.startswith(sent) if cancelled else packet == sent


# ------------------------------------------------------------------------------------------------------ ancillary data


@swept
async def test_receiving_files_loses_none(interrupt: Interruption, unix_streams: Links) -> None:
    async with unix_streams.client() as (client, peer):
        spawn(_give_late(peer.sock, b"first\n"))
        ancillary = SocketAncillary()
        outcome = await interrupt(client.recv_packet(ancillary_data=ancillary))
        if outcome.cancelled:
            assert list(ancillary.iter_fds()) == []
            outcome = Outcome(False, await client.recv_packet(ancillary_data=ancillary))
        assert outcome.result == "first"
        assert received_text(ancillary) == "gift"


@swept
async def test_sending_files_goes_on(interrupt: Interruption, unix_streams: Links) -> None:
    async with unix_streams.client() as (client, peer):
        with Gift() as gift:
            outcome = await interrupt(client.send_packet("first", ancillary_data=gift.ancillary))
            if outcome.cancelled:
                await client.send_packet("first", ancillary_data=gift.ancillary)
        while True:
            data, text = receive_message(peer.sock)
            assert text == "gift"
            if data.endswith(b"first\n"):
                break


@swept
async def test_receiving_files_in_datagrams_loses_none(interrupt: Interruption, unix_datagrams: Links) -> None:
    async with unix_datagrams.datagram_client() as (client, peer):
        spawn(_give_late(peer.sock, b"first"))
        ancillary = SocketAncillary()
        outcome = await interrupt(client.recv_packet(ancillary_data=ancillary))
        if outcome.cancelled:
            outcome = Outcome(False, await client.recv_packet(ancillary_data=ancillary))
        assert outcome.result == "first"
        assert received_text(ancillary) == "gift"


async def _give_late(sock: socket.socket, data: bytes) -> None:
    await sleep(0.002)
    give(sock, data)
