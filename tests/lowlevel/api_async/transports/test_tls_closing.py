"""Closing TLS: alerts, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import ssl

import pytest
from tests.support.certificates import Certificates
from tests.support.peers import turns_of_the_loop
from tests.support.sockets import tcp_pair
from tests.support.tls_connections import Hidden, TLSPeer, connected, until_closed

from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully


async def test_closing_sends_an_alert_and_waits_for_that_of_the_peer(mode: str, tls_version: str) -> None:
    async with connected(mode, tls_version, shutdown_timeout=math.inf) as (tls, peer):
        await tls.send_all(b"last words")
        closing = asyncio.create_task(tls.aclose())
        await turns_of_the_loop(1)
        assert tls.is_closing()
        assert await peer.plaintext_rest() == b"last words"
        await asyncio.sleep(0.01)
        assert not closing.done()
        await peer.close_tls()
        await closing
        assert await peer.rest() == b""


async def test_closing_in_answer_to_the_peer_waits_for_nothing(mode: str, tls_version: str) -> None:
    async with connected(mode, tls_version, shutdown_timeout=math.inf) as (tls, peer):
        await peer.close_tls()
        assert await tls.recv(100) == b""
        assert not peer.engine.ended
        await tls.aclose()
        assert await peer.plaintext_rest() == b""
        assert peer.engine.closed_by_peer


async def test_closing_sends_no_alert_if_that_is_not_wanted(mode: str) -> None:
    async with connected(mode, standard_compatible=False) as (tls, peer):
        await tls.send_all(b"last words")
        await tls.aclose()
        assert await peer.receive_plaintext() == b"last words"
        with pytest.raises(ssl.SSLEOFError):
            await peer.receive_plaintext()


async def test_all_that_was_accepted_leaves_before_the_alert(mode: str) -> None:
    data = random.Random(0).randbytes(1 << 20)
    async with connected(mode, small_buffers=True) as (tls, peer):

        async def send() -> None:
            for start in range(0, len(data), 1 << 17):
                await tls.send_all(data[start : start + (1 << 17)])
            await tls.aclose()

        sender = asyncio.create_task(send())
        assert await peer.plaintext_rest() == data
        await peer.close_tls()
        await sender


async def test_what_the_peer_still_sends_is_ignored(mode: str) -> None:
    async with connected(mode, shutdown_timeout=math.inf) as (tls, peer):
        closing = asyncio.create_task(tls.aclose())
        assert await peer.plaintext_rest() == b""
        for _ in range(20):
            await peer.send_plaintext(b"x" * 100_000)
        assert not closing.done()
        assert await tls.recv(100) == b""
        await peer.close_tls()
        await closing


@pytest.mark.parametrize("silence", ["reads nothing", "reads", "talks"])
async def test_peer_that_does_not_close_is_not_waited_for_long(mode: str, silence: str) -> None:
    async with connected(mode, shutdown_timeout=0.05) as (tls, peer):
        closing = asyncio.create_task(tls.aclose())
        if silence != "reads nothing":
            await peer.plaintext_rest()
        with contextlib.suppress(ConnectionError):
            while silence == "talks" and not closing.done():
                await peer.send_plaintext(b"x")
                await asyncio.sleep(0.001)
        await closing
        assert await peer.gone()


async def test_alert_that_cannot_be_sent_is_not_waited_for_long(mode: str) -> None:
    async with connected(mode, shutdown_timeout=0.05, small_buffers=True) as (tls, peer):
        sender = asyncio.create_task(tls.send_all(b"x" * 2_000_000))
        await asyncio.sleep(0.01)
        await tls.aclose()
        with pytest.raises(OSError):
            await sender
        assert await peer.gone()


@pytest.mark.parametrize("shutdown_timeout", [0, 0.0])
async def test_no_time_to_close_means_that_nobody_waits(mode: str, shutdown_timeout: float) -> None:
    async with connected(mode, shutdown_timeout=shutdown_timeout) as (tls, peer):
        await tls.aclose()
        assert await peer.gone()


async def test_peer_that_leaves_instead_of_closing_is_no_error(mode: str) -> None:
    for leave in (TLSPeer.half_close, TLSPeer.close, TLSPeer.reset):
        async with connected(mode, shutdown_timeout=math.inf) as (tls, peer):
            closing = asyncio.create_task(tls.aclose())
            await turns_of_the_loop(3)
            leave(peer)
            await closing


@pytest.mark.parametrize("kind", ["cut", "reset", "bad record"])
async def test_broken_connection_is_closed_without_an_error(mode: str, kind: str) -> None:
    async with connected(mode, shutdown_timeout=math.inf) as (tls, peer):
        match kind:
            case "cut":
                peer.close()
            case "reset":
                peer.reset()
            case "bad record":
                await peer.send(b"nonsense" * 10)
        with pytest.raises(OSError):
            await tls.recv(100)
        assert not tls.is_closing()
        await tls.aclose()
        assert tls.is_closing()
        assert await tls.recv(100) == b""


async def test_closing_again_waits_for_the_first(mode: str) -> None:
    async with connected(mode, shutdown_timeout=math.inf) as (tls, peer):
        closers = [asyncio.create_task(tls.aclose()) for _ in range(3)]
        await peer.plaintext_rest()
        await asyncio.sleep(0.005)
        assert not any(closer.done() for closer in closers)
        await peer.close_tls()
        await asyncio.gather(*closers)
        await tls.aclose()


async def test_second_closer_that_is_cancelled_ends_the_wait_of_the_first(mode: str) -> None:
    async with connected(mode, shutdown_timeout=math.inf) as (tls, peer):
        first, second = asyncio.create_task(tls.aclose()), asyncio.create_task(tls.aclose())
        await turns_of_the_loop(3)
        second.cancel()
        await first
        await asyncio.wait([second])
        assert await peer.gone()


async def test_closed_connection_refuses_to_send_and_has_ended(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        await peer.send_plaintext(b"never read")
        assert await tls.recv(5) == b"never"
        closing = asyncio.create_task(tls.aclose())
        await turns_of_the_loop(1)
        for _ in range(2):
            assert await tls.recv(100) == b""
            assert await tls.recv_into(bytearray(10)) == 0
            with pytest.raises(ConnectionAbortedError):
                await tls.send_all(b"x")
            with pytest.raises(ConnectionAbortedError):
                await tls.send_all_from_iterable([b"x"])
            await peer.close_tls()
            await closing


async def test_receiver_that_waits_gets_the_end(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        receiver = asyncio.create_task(tls.recv(100))
        await turns_of_the_loop(2)
        closing = asyncio.create_task(tls.aclose())
        await peer.plaintext_rest()
        await peer.close_tls()
        assert await receiver == b""
        await closing


async def test_receiver_that_waits_gets_the_end_even_if_the_peer_never_answers(mode: str) -> None:
    async with connected(mode, shutdown_timeout=0.02) as (tls, _):
        receiver = asyncio.create_task(tls.recv(100))
        await turns_of_the_loop(2)
        await tls.aclose()
        assert await receiver == b""


@pytest.mark.parametrize(
    "turns", [pytest.param(0, marks=pytest.mark.lazy_tasks(reason="has the close not even begun")), 1, 2, 3, 10]
)
async def test_cancelled_close_closes_at_once(mode: str, turns: int) -> None:
    async with connected(mode, shutdown_timeout=math.inf) as (tls, peer):
        receiver = asyncio.create_task(tls.recv(100))
        await turns_of_the_loop(2)
        closing = asyncio.create_task(tls.aclose())
        await turns_of_the_loop(turns)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        if turns == 0:  # not even begun
            assert not tls.is_closing()
            await aclose_forcefully(tls)
        assert tls.is_closing()
        assert await receiver == b""
        assert await peer.gone()


async def test_cancelled_close_does_not_wait_for_a_sender(mode: str) -> None:
    async with connected(mode, shutdown_timeout=math.inf, small_buffers=True) as (tls, peer):
        sender = asyncio.create_task(tls.send_all(b"x" * 2_000_000))
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(tls.aclose())
        await turns_of_the_loop(3)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        with pytest.raises(OSError):
            await sender
        assert await peer.gone()


async def test_cancelled_sender_spoils_at_most_the_connection(mode: str) -> None:
    """By callbacks, all or nothing of what it sends arrives. By pulling, it cannot know, and gives up."""
    async with connected(mode, small_buffers=True) as (tls, peer):
        sender = asyncio.create_task(tls.send_all(b"x" * 2_000_000))
        await asyncio.sleep(0.01)
        sender.cancel()
        await asyncio.wait([sender])
        assert sender.cancelled()
        if mode == "delivering":
            following = asyncio.create_task(tls.send_all(b"."))
            received = b""
            while not received.endswith(b"."):
                received += await peer.receive_plaintext()
            await following
            assert received == b"x" * 2_000_000 + b"."
        else:
            with pytest.raises(ConnectionAbortedError):
                await tls.send_all(b".")
            with pytest.raises(ConnectionAbortedError):
                await tls.recv(100)
            closing = asyncio.create_task(tls.aclose())
            assert await peer.gone()
            await closing


async def test_scope_that_was_cancelled_closes_at_once(mode: str, certificates: Certificates) -> None:
    backend = AsyncIOBackend()
    ours, theirs = tcp_pair()
    peer = TLSPeer(theirs, certificates.server_context(), server_side=True)
    handshake = asyncio.create_task(peer.handshake())
    transport = await backend.wrap_stream_socket(ours)
    tls = await AsyncTLSStreamTransport.wrap(
        Hidden(transport) if mode == "pulled" else transport,
        certificates.client_context(),
        server_hostname="localhost",
    )
    await handshake
    with backend.move_on_after(0.01) as scope:
        async with tls:
            await tls.recv(100)
    assert scope.cancelled_caught()
    await until_closed(ours)
    assert await peer.gone()
    peer.close()
