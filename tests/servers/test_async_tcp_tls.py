"""The TCP server with TLS."""

from __future__ import annotations

import logging
import math
import socket
import ssl
from typing import Any

import pytest
from tests.support.background import new_event, sleep, spawn, until
from tests.support.certificates import Certificates, the_certificates
from tests.support.lines import line_protocol
from tests.support.peers import turns_of_the_loop
from tests.support.stream_servers import Client, Handler, Noting, Requests, run, serving
from tests.support.tls_connections import TLSPeer
from tests.support.tls_servers import TLSClient, connect

from easynetwork.exceptions import ClientClosedError, TypedAttributeLookupError
from easynetwork.lowlevel.api_async.backend.abc import IEvent, TaskInfo
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.socket import TLSAttribute, new_socket_address
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.handlers import INETClientAttribute

EVERY_BACKEND = True


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    return certificates.server_context()


# --------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [-1, float("nan")])
async def test_times_are_not_negative(context: ssl.SSLContext, name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        AsyncTCPNetworkServer("127.0.0.1", 0, line_protocol(), Handler(), ssl=context, **options)


# ---------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize("protocol_class", [StreamProtocol, BufferedStreamProtocol])
async def test_requests_are_answered(tls_version: str, certificates: Certificates, protocol_class: Any) -> None:
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        "127.0.0.1",
        0,
        protocol_class(StringLineSerializer()),
        Handler(),
        ssl=certificates.server_context(tls_version),
        max_recv_size=4096,
    )
    async with run(server) as it:
        peer = await connect(it)
        assert peer.below.engine.ssl_object.version() == tls_version
        for number in range(10):
            assert await peer.ask(b"%d" % number) == b"%d" % number
        await peer.send(b"".join(b"%d\n" % number for number in range(10_000)))
        assert await peer.lines(10_000) == [b"%d" % number for number in range(10_000)]
        for byte in b"in pieces\n":
            await peer.send(bytes([byte]))
        assert await peer.line() == b"in pieces"
        peer.below.engine.encrypt(b"in pieces of a record\n")
        for byte in peer.below.engine.take_outgoing():
            await peer.below.send(bytes([byte]))
        assert await peer.line() == b"in pieces of a record"
        await peer.leave()


async def test_all_steps_of_a_handler_are_of_one_task(context: ssl.SSLContext) -> None:
    class Stepping(Handler):
        tasks: list[TaskInfo]

        async def handle(self, client: Client, /) -> Requests:
            self.tasks = [ensure_backend(None).get_current_task()]
            while True:
                request = yield None
                self.tasks.append(ensure_backend(None).get_current_task())
                if request == "suspend":
                    await sleep(0.001)
                elif request == "sleep0":
                    await ensure_backend(None).coro_yield()
                self.tasks.append(ensure_backend(None).get_current_task())
                await client.send_packet(request)

    handler = Stepping()
    async with serving(handler, ssl=context) as it:
        peer = await connect(it)
        await peer.send(b"a\nsuspend\nb\nsleep0\nc\n")
        assert await peer.lines(5) == [b"a", b"suspend", b"b", b"sleep0", b"c"]
        assert await peer.ask(b"alone") == b"alone"
    assert len(handler.tasks) == 13
    assert set(handler.tasks) == {handler.tasks[0]}


async def test_answers_leave_in_the_callback_that_brings_the_requests(context: ssl.SSLContext) -> None:
    """The handler runs in it, and what it sends is one record."""

    class InCallback(Handler):
        turn = 0
        turns: list[int]

        async def handle(self, client: Client, /) -> Requests:
            self.turns = []
            while True:
                request = yield None
                self.turns.append(self.turn)
                await client.send_packet(request)

    handler = InCallback()
    async with serving(handler, ssl=context) as it:
        peer = await connect(it)
        await peer.ask(b"first")
        handler.turns.clear()
        await peer.send(b"a\nb\nc\n")

        async def count() -> None:
            while len(handler.turns) < 3:
                handler.turn += 1
                await ensure_backend(None).coro_yield()

        await spawn(count()).result()
        assert len(set(handler.turns)) == 1
        assert await peer.below.receive_plaintext() == b"a\nb\nc\n"


async def test_requests_that_come_with_the_handshake_are_answered(tls_version: str, context: ssl.SSLContext) -> None:
    async with serving(Handler(), ssl=context) as it:
        plain = await it.connect()
        peer = TLSClient(plain.sock, the_certificates().client_context(tls_version))
        engine, data = peer.below.engine, b""
        while not engine.handshake(data):
            await peer.below.flush()
            data = await peer.below._receive()
        engine.encrypt(b"a\nb\n")
        await peer.below.flush()
        assert await peer.lines(2) == [b"a", b"b"]


async def test_large_answers_reach_a_slow_client_whole(context: ssl.SSLContext) -> None:
    class Large(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            for _ in range(20):
                await client.send_packet("x" * 100_000)
            await client.aclose()

    async with serving(Large(), ssl=context) as it:
        peer = await connect(it, receive_buffer=1 << 14)
        await peer.send(b"go\n")
        await sleep(0.02)
        for _ in range(20):
            assert await peer.line() == b"x" * 100_000
            await sleep(0.001)
        await peer.leave()


async def test_client_that_reads_nothing_makes_its_handler_wait(context: ssl.SSLContext) -> None:
    class Flooding(Handler):
        sent = 0

        async def handle(self, client: Client, /) -> Requests:
            yield None
            for _ in range(1000):
                await client.send_packet("x" * 10_000)
                self.sent += 1

    handler = Flooding()
    async with serving(handler, ssl=context) as it:
        peer = await connect(it, receive_buffer=1 << 14)
        await peer.send(b"go\n")
        before = -1
        while handler.sent > before:
            before = handler.sent
            await sleep(0.02)
        assert 0 < handler.sent < 1000
        assert await peer.lines(1000) == [b"x" * 10_000] * 1000


async def test_requests_that_come_with_the_handshake_are_the_first(context: ssl.SSLContext) -> None:
    class Slow(Handler):
        ready = False

        async def on_connection(self, client: Client, /) -> None:
            await until(lambda: self.ready)

    handler = Slow()
    async with serving(handler, ssl=context) as it:
        peer = TLSClient((await it.connect()).sock, the_certificates().client_context())
        await peer.below.handshake(b"a\n")
        await sleep(0.05)
        for request in (b"b\n", b"c\n"):
            await peer.send(request)
            await sleep(0.02)
        handler.ready = True
        assert await peer.lines(3) == [b"a", b"b", b"c"]


async def test_client_knows_about_tls(context: ssl.SSLContext, certificates: Certificates) -> None:
    facts: list[Any] = []

    class Curious(Handler):
        async def on_connection(self, client: Client, /) -> None:
            await super().on_connection(client)
            facts.append(client.extra(TLSAttribute.tls_version))
            facts.append(client.extra(TLSAttribute.sslcontext) is context)
            facts.append(client.extra(TLSAttribute.standard_compatible))
            facts.append(client.extra(TLSAttribute.alpn_protocol))
            facts.append(client.extra(TLSAttribute.server_name))
            facts.append(client.extra(INETClientAttribute.remote_address).port)
            with pytest.raises(TypedAttributeLookupError):
                client.extra(TLSAttribute.peercert)

    client_context = certificates.client_context("TLSv1.3")
    for each in (context, client_context):
        each.set_alpn_protocols(["lines"])
    async with serving(Curious(), ssl=context, ssl_standard_compatible=False) as it:
        peer = await connect(it, client_context)
        assert await peer.ask(b"a") == b"a"
        assert facts == ["TLSv1.3", True, False, "lines", "localhost", peer.sock.getsockname()[1]]


# -------------------------------------------------------------------------------------------------------- the end


async def closes_tls(peer: TLSClient) -> None:
    await peer.leave()


async def leaves(peer: TLSClient) -> None:
    peer.close()


async def half_closes(peer: TLSClient) -> None:
    peer.half_close()
    assert await peer.gone()


async def resets(peer: TLSClient) -> None:
    peer.reset()


async def leaves_in_a_record(peer: TLSClient) -> None:
    peer.below.engine.encrypt(b"half of this")
    await peer.below.send(peer.below.engine.take_outgoing()[:-5])
    peer.close()


@pytest.mark.parametrize("end", [closes_tls, leaves, half_closes, resets, leaves_in_a_record])
@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_client_that_leaves_closes_the_generator_and_raises_nothing_in_it(
    context: ssl.SSLContext, end: Any, standard_compatible: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Noting()
    async with serving(handler, ssl=context, ssl_standard_compatible=standard_compatible) as it:
        peer = await connect(it)
        assert await peer.ask(b"a") == b"a"
        if end is closes_tls and not standard_compatible:
            await peer.below.close_tls()
        else:
            await end(peer)
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "GeneratorExit", "disconnected"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_bad_record_is_an_error_at_the_yield(context: ssl.SSLContext, caplog: pytest.LogCaptureFixture) -> None:
    handler = Noting()
    async with serving(handler, ssl=context) as it:
        peer = await connect(it)
        assert await peer.ask(b"a") == b"a"
        await peer.below.send(b"nonsense" * 10)
        with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
            await peer.rest()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "SSLError", "disconnected"]
    [record] = (record for record in caplog.records if record.levelno > logging.INFO)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None


async def test_last_answers_and_the_alert_reach_a_client_that_has_closed(
    tls_version: str, context: ssl.SSLContext
) -> None:
    async with serving(Handler(), ssl=context) as it:
        peer = await connect(it, the_certificates().client_context(tls_version))
        assert await peer.ask(b"a") == b"a"
        peer.below.engine.encrypt(b"b\nc\n")
        await peer.below.close_tls()
        assert await peer.rest() == b"b\nc\n"
        assert peer.below.engine.closed_by_peer


@pytest.mark.parametrize("in_one_segment", [True, False])
@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_client_that_has_closed_meanwhile_gets_all_answers(
    tls_version: str, context: ssl.SSLContext, in_one_segment: bool, standard_compatible: bool
) -> None:
    """Those to the requests received before its closing alert; and then the alert of the server, if it sends one."""

    class Slow(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                request = yield None
            except GeneratorExit:
                self.diary.append("GeneratorExit")
                raise
            await self.closed.wait()
            await client.send_packet(request * 100_000)

        closed: IEvent

    handler = Slow()
    handler.closed = new_event()
    async with serving(handler, ssl=context, ssl_standard_compatible=standard_compatible) as it:
        peer = await connect(it, the_certificates().client_context(tls_version))
        peer.below.engine.encrypt(b"a\nb\nnot comp")
        if not in_one_segment:
            await peer.below.flush()
        await peer.below.close_tls()
        await sleep(0.01)
        handler.closed.set()
        assert await peer.lines(2) == [b"a" * 100_000, b"b" * 100_000]
        if standard_compatible:
            assert await peer.rest() == b""
            assert peer.below.engine.closed_by_peer
        else:
            assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "GeneratorExit", "disconnected"]


async def test_handler_closes_after_its_answer(tls_version: str, context: ssl.SSLContext) -> None:
    class Closing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            await client.aclose()
            assert client.is_closing()
            with pytest.raises(ClientClosedError):
                await client.send_packet("more")

    handler = Closing()
    async with serving(handler, ssl=context) as it:
        peer = await connect(it, the_certificates().client_context(tls_version))
        await peer.send(b"a\nnever handled\n")
        assert await peer.rest() == b"a\n"
        await peer.leave()
        await until(lambda: "disconnected" in handler.diary)


async def test_client_that_does_not_close_is_not_waited_for_long(context: ssl.SSLContext) -> None:
    class Closing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            await client.aclose()

    handler = Closing()
    async with serving(handler, ssl=context, ssl_shutdown_timeout=0.02) as it:
        peer = await connect(it)
        await peer.send(b"a\n")
        await until(lambda: "disconnected" in handler.diary)
        assert await peer.gone()


async def test_handler_that_fails_ends_the_connection_and_waits_for_nobody(context: ssl.SSLContext) -> None:
    class Failing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            raise ZeroDivisionError

        async def on_disconnection(self, client: Client, /) -> None:
            await client.send_packet("an apology")

    async with serving(Failing(), ssl=context, ssl_shutdown_timeout=1000) as it:
        peer = await connect(it)
        await peer.send(b"a\n")
        assert await peer.line() == b"an apology"
        assert await peer.gone()


# -------------------------------------------------------------------------------------------------------- handshakes


async def silence(peer: TLSPeer) -> None:
    assert await peer.gone()


async def leave_at_once(peer: TLSPeer) -> None:
    peer.close()


async def reset_at_once(peer: TLSPeer) -> None:
    peer.reset()


async def leave_in_the_midst(peer: TLSPeer) -> None:
    peer.engine.handshake()
    await peer.flush()
    await peer._receive()
    peer.half_close()
    assert await peer.gone()


async def close_tls_in_the_midst(peer: TLSPeer) -> None:
    peer.engine.handshake()
    await peer.flush()
    await peer._receive()
    await peer.send(b"\x15\x03\x03\x00\x02\x01\x00")  # RFC 5246, section 7.2.1
    assert await peer.gone()


async def plain_text(peer: TLSPeer) -> None:
    await peer.send(b"hello\n")
    assert await peer.gone()


async def distrust(peer: TLSPeer) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await peer.handshake()
    await peer.flush()
    assert await peer.gone()


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        (silence, logging.DEBUG),
        (leave_at_once, logging.DEBUG),
        (reset_at_once, logging.DEBUG),
        (leave_in_the_midst, logging.DEBUG),
        (close_tls_in_the_midst, logging.DEBUG),
        (plain_text, logging.WARNING),
        (distrust, logging.WARNING),
    ],
)
async def test_failed_handshake_is_one_line_and_at_debug_if_the_client_just_left(
    context: ssl.SSLContext, fault: Any, level: int, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("its.own.logger")
    caplog.set_level(logging.DEBUG, logger.name)
    handler = Handler()
    async with serving(handler, ssl=context, ssl_handshake_timeout=0.1, logger=logger) as it:
        plain = await it.connect()
        address = new_socket_address(plain.sock.getsockname(), plain.sock.family)
        faulty = TLSPeer(
            plain.sock,
            certificates.client_context("TLSv1.2", trusting=fault is not distrust),
            server_side=False,
            server_hostname="localhost",
        )
        caplog.clear()
        await fault(faulty)
        await until(lambda: caplog.records)
        await turns_of_the_loop(10)
        assert handler.diary == []
        [record] = caplog.records
        assert (record.name, record.levelno, record.exc_info) == (logger.name, level, None)
        message = record.getMessage()
        assert "\n" not in message
        if fault is reset_at_once:  # then the system may not know the peer any more
            message = message.replace("an unknown peer", str(address))
        assert message.startswith(f"{address}: the TLS handshake failed: ")
        good = await connect(it)
        assert await good.ask(b"a") == b"a"


async def test_clients_are_served_beside_many_silent_handshakes(context: ssl.SSLContext) -> None:
    handler = Handler()
    async with serving(handler, ssl=context, backlog=300) as it:
        for _ in range(200):
            await it.connect()
        peer = await connect(it)
        assert await peer.ask(b"a") == b"a"
        assert handler.diary == ["connected"]


# ------------------------------------------------------------------------------------- what is not TLS, after them


@pytest.mark.parametrize("goes_on", [False, True])
async def test_handler_that_catches_a_broken_connection_sees_it_once(context: ssl.SSLContext, goes_on: bool) -> None:
    class Catching(Noting):
        async def handle(self, client: Client, /) -> Requests:
            while True:
                try:
                    yield None
                except ssl.SSLError:
                    self.diary.append("broken")
                    assert len(self.diary) < 10
                    if not goes_on:
                        return

    handler = Catching()
    async with serving(handler, ssl=context) as it:
        peer = await connect(it)
        await peer.below.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)
        good = await connect(it)
        await good.leave()
    assert handler.diary == ["connected", "broken", "disconnected", "connected", "disconnected"]


# ------------------------------------------------------------------------------------------------------------- ending


async def test_shutdown_waits_for_nobody(context: ssl.SSLContext) -> None:
    class Busy(Noting):
        async def handle(self, client: Client, /) -> Requests:
            with client.backend().timeout(math.inf):
                if (yield None) == "sleep":
                    await client.backend().sleep_forever()

    handler = Busy()
    async with serving(handler, ssl=context, ssl_shutdown_timeout=1000) as it:
        idle, busy, silent = await connect(it), await connect(it), await it.connect()
        await busy.send(b"sleep\n")
        await sleep(0.01)
        await it.server.shutdown()
        for peer in (idle, busy, silent):
            assert await peer.gone()
        assert handler.diary.count("disconnected") == 2


async def test_closed_server_goes_on_with_those_who_are_connected(context: ssl.SSLContext) -> None:
    async with serving(Handler(), ssl=context) as it:
        peer = await connect(it)
        await it.server.server_close()
        assert await peer.ask(b"a") == b"a"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", peer.sock.getpeername()[1]))
        await peer.leave()
        await it.task.result()
