"""Sending and receiving over TLS. What every stream does is checked by the conformance kit."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import random
import socket
import ssl
import warnings
from collections.abc import Callable

import pytest
from tests.support.certificates import Certificates
from tests.support.peers import turns_of_the_loop
from tests.support.sockets import tcp_pair
from tests.support.tls_connections import (
    TLSPeer,
    connected,
    until_closed,
    wrap,
)

from easynetwork.exceptions import BusyResourceError, TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel._core.tls_engine import TLSEngine
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute, TLSAttribute

# ------------------------------------------------------------------------------------------------- both directions


@pytest.mark.parametrize("server_side", [True, False])
async def test_question_and_answer(mode: str, tls_version: str, server_side: bool) -> None:
    async with connected(mode, tls_version, server_side=server_side) as (tls, peer):
        for number in range(10):
            await tls.send_all(b"question %d" % number)
            assert await peer.receive_plaintext() == b"question %d" % number
            await peer.send_plaintext(b"answer %d" % number)
            assert await tls.recv(1000) == b"answer %d" % number


@pytest.mark.parametrize("server_side", [True, False])
async def test_megabytes_in_both_directions_at_once_past_a_slow_peer(mode: str, server_side: bool) -> None:
    data = random.Random(0).randbytes(1 << 16) * 48
    received = bytearray()
    echoed = bytearray()

    async def receive(tls: AsyncTLSStreamTransport) -> None:
        while len(received) < len(data):
            received.extend(await tls.recv(100_000))

    async def send(tls: AsyncTLSStreamTransport) -> None:
        for start in range(0, len(data), 300_000):
            await tls.send_all(data[start : start + 300_000])

    async def echo(peer: TLSPeer) -> None:
        while len(echoed) < len(data):
            echoed.extend(await peer.receive_plaintext())
            if len(echoed) % 7 == 0:
                await asyncio.sleep(0.001)

    async def feed(peer: TLSPeer) -> None:
        for start in range(0, len(data), 100_000):
            await peer.send_plaintext(data[start : start + 100_000])
            await asyncio.sleep(0)

    async with connected(mode, server_side=server_side, small_buffers=True) as (tls, peer):
        await asyncio.gather(receive(tls), send(tls), echo(peer), feed(peer))
    assert received == data
    assert echoed == data


async def test_buffers_of_any_kind_are_sent_and_filled(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        await tls.send_all(bytearray(b"abc"))
        await tls.send_all(memoryview(b"defg").cast("I"))
        await tls.send_all_from_iterable([b"h", bytearray(b"i"), memoryview(b"j")])
        await tls.send_all_from_iterable([])
        await tls.send_all(b"")
        await tls.send_all(b"!")
        received = b""
        while not received.endswith(b"!"):
            received += await peer.receive_plaintext()
        assert received == b"abcdefghij!"
        await peer.send_plaintext(b"0123456789")
        buffer = bytearray(4)
        assert await tls.recv_into(buffer) == 4
        assert await tls.recv_into(memoryview(buffer)[1:3]) == 2
        assert buffer == b"0453"
        assert await tls.recv(0) == b""
        assert await tls.recv_into(bytearray()) == 0
        assert await tls.recv(100) == b"6789"
        with pytest.raises(ValueError):
            await tls.recv(-1)


async def test_error_in_an_iterable_sends_nothing(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        with pytest.raises(ZeroDivisionError):
            await tls.send_all_from_iterable(b"x" * (1 // (1 - i)) for i in range(2))
        await tls.send_all(b"after")
        assert await peer.receive_plaintext() == b"after"


async def test_second_receiver_is_refused(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        first = asyncio.create_task(tls.recv(100))
        await turns_of_the_loop(2)
        with pytest.raises(BusyResourceError):
            await tls.recv(100)
        with pytest.raises(BusyResourceError):
            await tls.recv_into(bytearray(10))
        await peer.send_plaintext(b"x")
        assert await first == b"x"


async def test_what_tls_cannot_do_leaves_the_connection_usable(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        for operation in (
            tls.send_eof,
            lambda: tls.recv_with_ancillary(10, 10),
            lambda: tls.recv_with_ancillary_into(bytearray(10), 10),
            lambda: tls.send_all_with_ancillary([b"x"], []),
        ):
            with pytest.raises(UnsupportedOperation):
                await operation()
        await tls.send_all(b"question")
        assert await peer.receive_plaintext() == b"question"
        await peer.send_plaintext(b"answer")
        assert await tls.recv(1000) == b"answer"


async def test_tls_within_tls(mode: str, certificates: Certificates) -> None:
    """The inner one is pulled in any case."""
    async with connected(mode) as (outer, peer):
        relayed, inner_peer = tcp_pair()
        relay = TLSPeer(relayed, certificates.server_context(), server_side=True)

        async def outwards() -> None:
            while data := await peer.receive_plaintext():
                await relay.send(data)

        async def inwards() -> None:
            while data := await relay._receive():
                await peer.send_plaintext(data)

        other = TLSPeer(inner_peer, certificates.server_context(), server_side=True)
        relays = [asyncio.create_task(outwards()), asyncio.create_task(inwards())]
        inner, _ = await asyncio.gather(
            AsyncTLSStreamTransport.wrap(outer, certificates.client_context(), server_hostname="server.example"),
            other.handshake(),
        )
        await inner.send_all(b"x" * 100_000)
        received = b""
        while len(received) < 100_000:
            received += await other.receive_plaintext()
        closing = asyncio.create_task(inner.aclose())
        assert await other.plaintext_rest() == b""
        await other.close_tls()
        await relays[0]
        await peer.close_tls()
        await closing
        assert outer.is_closing()
        other.close()
        relay.close()
        relays[1].cancel()
        await asyncio.wait(relays)


# --------------------------------------------------------------------------------------------- the end of the stream


async def test_closing_alert_is_the_end_of_the_stream(mode: str, tls_version: str) -> None:
    async with connected(mode, tls_version) as (tls, peer):
        await peer.send_plaintext(b"last words")
        await peer.close_tls()
        assert await tls.recv(4) == b"last"
        assert await tls.recv(100) == b" words"
        for _ in range(3):
            assert await tls.recv(100) == b""
            assert await tls.recv_into(bytearray(10)) == 0
        assert not tls.is_closing()


async def test_sending_goes_on_after_the_closing_alert_of_the_peer(mode: str, tls_version: str) -> None:
    """It ends one direction. The answers to what came before it are due."""
    async with connected(mode, tls_version, small_buffers=True, shutdown_timeout=math.inf) as (tls, peer):
        await peer.send_plaintext(b"a question")
        await peer.close_tls()
        assert await tls.recv(100) == b"a question"
        assert await tls.recv(100) == b""
        answer = random.Random(0).randbytes(1 << 20)

        async def send() -> None:
            for start in range(0, len(answer), 1 << 17):
                await tls.send_all(answer[start : start + (1 << 17)])
            assert await tls.recv(100) == b""
            await tls.aclose()

        sender = asyncio.create_task(send())
        assert await peer.plaintext_rest() == answer
        await sender


async def test_closing_alert_ends_a_receiver_that_waits(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        receiver = asyncio.create_task(tls.recv(100))
        await turns_of_the_loop(2)
        await peer.close_tls()
        assert await receiver == b""


async def test_sender_that_waits_goes_on_after_the_closing_alert_of_the_peer(mode: str) -> None:
    async with connected(mode, small_buffers=True) as (tls, peer):
        senders = [asyncio.create_task(tls.send_all(b"x" * 1_000_000)) for _ in range(2)]
        await asyncio.sleep(0.01)
        await peer.close_tls()
        received = 0
        while received < 2_000_000:
            received += len(await peer.receive_plaintext())
        await asyncio.gather(*senders)


@pytest.mark.parametrize("half_close", [True, False])
@pytest.mark.parametrize("is_cut", [True, False])
async def test_end_without_a_closing_alert_is_an_error_for_ever(mode: str, half_close: bool, is_cut: bool) -> None:
    async with connected(mode) as (tls, peer):
        await peer.send_plaintext(b"last words")
        if is_cut:
            peer.engine.encrypt(b"a record")
            await peer.send(peer.engine.take_outgoing()[:-1])
        (peer.half_close if half_close else peer.close)()
        assert await tls.recv(4) == b"last"
        assert await tls.recv(100) == b" words"
        for _ in range(3):
            with pytest.raises(ssl.SSLEOFError):
                await tls.recv(100)
            with pytest.raises(ssl.SSLEOFError):
                await tls.recv_into(bytearray(10))
        with pytest.raises(OSError):
            await tls.send_all(b"too late")
        assert not tls.is_closing()


@pytest.mark.parametrize("half_close", [True, False])
@pytest.mark.parametrize("is_cut", [True, False])
async def test_end_without_a_closing_alert_can_be_tolerated(mode: str, half_close: bool, is_cut: bool) -> None:
    async with connected(mode, standard_compatible=False) as (tls, peer):
        await peer.send_plaintext(b"last words")
        if is_cut:
            peer.engine.encrypt(b"a record")
            await peer.send(peer.engine.take_outgoing()[:-1])
        (peer.half_close if half_close else peer.close)()
        assert await tls.recv(4) == b"last"
        assert await tls.recv(100) == b" words"
        for _ in range(3):
            assert await tls.recv(100) == b""
            assert await tls.recv_into(bytearray(10)) == 0
        if half_close:
            await tls.send_all(b"an answer")
            assert await peer.receive_plaintext() == b"an answer"


async def test_end_is_an_error_even_if_the_context_hides_it(mode: str, certificates: Certificates) -> None:
    context = certificates.client_context()
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    async with connected(mode, client=context) as (tls, peer):
        peer.close()
        with pytest.raises(ssl.SSLEOFError):
            await tls.recv(100)


async def test_reset_is_an_error_of_the_connection(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        receiver = asyncio.create_task(tls.recv(100))
        await turns_of_the_loop(2)
        peer.reset()
        with pytest.raises(ConnectionResetError):
            await receiver
        with pytest.raises(OSError):
            await tls.recv(100)
        with pytest.raises(OSError):
            for _ in range(100):
                await tls.send_all(b"x")
                await asyncio.sleep(0)
        assert not tls.is_closing()


@pytest.mark.parametrize("spoil", [bytes.swapcase, lambda record: b"GET / HTTP/1.0\r\n\r\n"], ids=["altered", "plain"])
async def test_bad_record_ends_both_directions(mode: str, spoil: Callable[[bytes], bytes]) -> None:
    async with connected(mode) as (tls, peer):
        await peer.send_plaintext(b"good")
        peer.engine.encrypt(b"bad" * 100)
        await peer.send(spoil(peer.engine.take_outgoing()))
        assert await tls.recv(100) == b"good"
        for _ in range(2):
            with pytest.raises(ssl.SSLError) as info:
                await tls.recv(100)
            assert not isinstance(info.value, ssl.SSLEOFError)
            with pytest.raises(OSError):
                await tls.send_all(b"x")
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            await peer.receive_plaintext()


async def test_cancelled_receiver_loses_nothing(mode: str) -> None:
    async with connected(mode) as (tls, peer):
        sent, received = b"", b""
        for number in range(50):
            receiver = asyncio.create_task(tls.recv(100))
            await turns_of_the_loop(number % 4)
            await peer.send_plaintext(b"%d " % number)
            sent += b"%d " % number
            await turns_of_the_loop(number % 3)
            receiver.cancel()
            await asyncio.wait([receiver])
            if not receiver.cancelled():
                received += receiver.result()
        while len(received) < len(sent):
            received += await tls.recv(7)
        assert received == sent


async def test_who_receives_may_send_while_another_sends(mode: str, certificates: Certificates) -> None:
    """A server asks for a certificate, and takes nothing more before it is there: :rfc:`8446`, section 4.6.2."""
    client = certificates.client_context("TLSv1.3", with_certificate=True)
    client.post_handshake_auth = True
    server = certificates.server_context("TLSv1.3", ask_client=True)
    server.post_handshake_auth = True
    async with connected(mode, client=client, server=server, small_buffers=True) as (tls, peer):
        sender = asyncio.create_task(tls.send_all(b"x" * 2_000_000))
        await asyncio.sleep(0.01)
        assert not sender.done()
        peer.engine.ssl_object.verify_client_post_handshake()
        await peer.send_plaintext(b"who are you?")
        assert await tls.recv(100) == b"who are you?"
        received = 0
        while received < 2_000_000:
            received += len(await peer.receive_plaintext())
        await sender
        await tls.send_all(b".")
        assert await peer.receive_plaintext() == b"."
        assert peer.engine.ssl_object.getpeercert()


# ----------------------------------------------------------------------------------------------------------- facts


async def test_attributes_are_those_of_the_socket_and_of_tls(
    mode: str, tls_version: str, certificates: Certificates
) -> None:
    context = certificates.client_context(tls_version)
    async with connected(mode, client=context, standard_compatible=False) as (tls, peer):
        assert tls.extra(SocketAttribute.peername) == peer.sock.getsockname()
        assert tls.extra(SocketAttribute.sockname) == peer.sock.getpeername()
        assert tls.extra(SocketAttribute.family) is socket.AF_INET
        assert tls.extra(TLSAttribute.sslcontext) is context
        assert ("DNS", "localhost") in tls.extra(TLSAttribute.peercert)["subjectAltName"]
        assert tls.extra(TLSAttribute.cipher) == peer.engine.ssl_object.cipher()
        assert tls.extra(TLSAttribute.tls_version) == tls_version
        assert tls.extra(TLSAttribute.server_name) == "localhost"
        assert tls.extra(TLSAttribute.standard_compatible) is False
        for missing in (TLSAttribute.compression, TLSAttribute.alpn_protocol):
            with pytest.raises(TypedAttributeLookupError):
                tls.extra(missing)
        assert isinstance(tls.backend(), AsyncIOBackend)


async def test_peer_without_a_certificate_has_none(mode: str) -> None:
    async with connected(mode, server_side=True) as (tls, _):
        assert tls.extra(TLSAttribute.standard_compatible) is True
        with pytest.raises(TypedAttributeLookupError):
            tls.extra(TLSAttribute.peercert)


async def test_dropped_connection_warns(mode: str, certificates: Certificates) -> None:
    ours, theirs = tcp_pair()
    peer = TLSPeer(theirs, certificates.server_context(), server_side=True)
    handshake = asyncio.create_task(peer.handshake())
    dropped = await wrap(ours, mode, certificates.client_context())
    await handshake
    with pytest.warns(ResourceWarning) as caught:
        del dropped
    sources = [warning.source for warning in caught]
    assert any(isinstance(source, AsyncTLSStreamTransport) for source in sources)
    sources.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is below, now that the warning is gone which kept it alive
        caught.clear()
        gc.collect()
    await until_closed(ours)
    peer.close()


async def test_closed_connection_is_freed_at_once(mode: str, certificates: Certificates) -> None:
    """Not when cycles are collected: OpenSSL's part of it is large, and the collector does not know."""

    async def use_one() -> None:
        ours, theirs = tcp_pair()
        peer = TLSPeer(theirs, certificates.server_context(), server_side=True)
        with contextlib.closing(peer):
            handshake = asyncio.create_task(peer.handshake())
            tls = await wrap(ours, mode, certificates.client_context())
            await handshake
            await tls.send_all(b"x")
            await peer.close_tls()
            assert await tls.recv(10) == b""
            await tls.aclose()

    def engines() -> int:
        return sum(isinstance(thing, TLSEngine) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = engines()
        await asyncio.create_task(use_one())
        await turns_of_the_loop(3)
        assert engines() == before
    finally:
        gc.enable()
