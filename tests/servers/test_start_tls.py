"""Handlers that upgrade their connection to TLS."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
import ssl
import weakref
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.background import sleep, spawn, until
from tests.support.certificates import Certificates, the_certificates
from tests.support.descriptors import all_closed
from tests.support.lines import LINE_PROTOCOLS, line_protocol
from tests.support.network_servers import problems
from tests.support.peers import Peer, turns_of_the_loop
from tests.support.stream_servers import Client, Handler, Requests, Serving, run, serving
from tests.support.tls_servers import TLSClient, connect

from easynetwork.exceptions import (
    BusyResourceError,
    ClientClosedError,
    StreamProtocolParseError,
    TypedAttributeLookupError,
    UnsupportedOperation,
)
from easynetwork.lowlevel.api_async.backend.abc import CancelScope
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.socket import SocketAttribute, TLSAttribute
from easynetwork.protocol import AnyStreamProtocolType, StreamProtocol
from easynetwork.serializers import RawSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import INETClientAttribute

EVERY_BACKEND = True


class GeneratedLines(AbstractIncrementalPacketSerializer[str, str]):
    """Lines whose decoder is a generator."""

    def incremental_serialize(self, packet: str) -> Generator[bytes]:
        yield packet.encode() + b"\n"

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[str, bytes]]:
        data = b""
        while b"\n" not in data:
            data += yield
        line, _, rest = data.partition(b"\n")
        return line.decode(), rest


PROTOCOLS: dict[str, Callable[[], AnyStreamProtocolType[str, str]]] = {
    **LINE_PROTOCOLS,
    "generator": lambda: StreamProtocol(GeneratedLines()),
}


class Upgrading(Handler):
    """Answers each line with itself, and starts TLS when a line asks for it."""

    def __init__(self, context: ssl.SSLContext | None = None, **options: Any) -> None:
        super().__init__()
        self.context = context or the_certificates().server_context()
        self.options = options

    async def handle(self, client: Client, /) -> Requests:
        request = yield None
        if request == "STARTTLS":
            await self.upgrade(client)
        else:
            await client.send_packet(request)

    async def upgrade(self, client: Client) -> None:
        await client.send_packet("go")
        await client.start_tls(self.context, **self.options)
        self.diary.append("upgraded")


class Noted(Upgrading):
    """Notes the error that ends an upgrade, and raises it again."""

    async def upgrade(self, client: Client) -> None:
        try:
            await super().upgrade(client)
        except BaseException as exc:
            self.diary.append(type(exc).__name__)
            raise


def tls_client(plain: Peer, context: ssl.SSLContext | None = None) -> TLSClient:
    return TLSClient(plain.sock, context or the_certificates().client_context())


async def agreed(it: Serving) -> Peer:
    """Connect, ask for TLS, and do nothing of the handshake."""
    plain = await it.connect()
    assert await plain.ask(b"STARTTLS") == b"go"
    return plain


async def upgraded(it: Serving, context: ssl.SSLContext | None = None) -> TLSClient:
    client = tls_client(await agreed(it), context)
    await client.below.handshake()
    return client


def hello(client: TLSClient) -> bytes:
    """Return the first message of the handshake, which is not sent."""
    assert not client.below.engine.handshake()
    return client.below.engine.take_outgoing()


@pytest.fixture(params=[*(f"TCP, {name}" for name in PROTOCOLS), "Unix, stream"])
def serve(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., contextlib.AbstractAsyncContextManager[Serving]]:
    """Serve over each kind of sockets, with each kind of decoders."""
    family, _, name = request.param.partition(", ")
    protocol = PROTOCOLS[name]()

    def start(handler: Handler) -> contextlib.AbstractAsyncContextManager[Serving]:
        if family == "TCP":
            return run(AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler))
        return run(AsyncUnixStreamServer(str(tmp_path / "socket"), protocol, handler))

    return start


Serve = Callable[[Handler], contextlib.AbstractAsyncContextManager[Serving]]


# ------------------------------------------------------------------------------------------------------- the upgrade


async def test_handler_goes_on_with_tls(serve: Serve) -> None:
    handler = Upgrading()
    async with serve(handler) as it:
        plain = await it.connect()
        assert await plain.ask(b"in the clear") == b"in the clear"
        assert await plain.ask(b"STARTTLS") == b"go"
        peer = tls_client(plain)
        await peer.below.handshake()
        for number in range(5):
            assert await peer.ask(b"%d" % number) == b"%d" % number
        await peer.send(b"".join(b"%d\n" % number for number in range(1000)))
        assert await peer.lines(1000) == [b"%d" % number for number in range(1000)]
        await peer.leave()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "upgraded", "disconnected"]


async def test_each_version_of_tls(tls_version: str, certificates: Certificates) -> None:
    async with serving(Upgrading(certificates.server_context(tls_version))) as it:
        peer = await upgraded(it)
        assert peer.below.engine.ssl_object.version() == tls_version
        assert await peer.ask(b"a") == b"a"
        await peer.leave()


async def test_handshake_may_begin_in_the_segment_of_the_request(serve: Serve) -> None:
    """An impatient client does not wait for the answer. Its bytes are a TLS record, so nobody injected them."""
    async with serve(Upgrading()) as it:
        plain = await it.connect()
        peer = tls_client(plain)
        await plain.send(b"a\nSTARTTLS\n" + hello(peer))
        assert await plain.lines(2) == [b"a", b"go"]
        data, plain._kept = plain._kept, b""
        while not peer.below.engine.handshake(data):
            await peer.below.flush()
            data = await plain._receive()
        await peer.below.flush()
        assert await peer.ask(b"a") == b"a"


async def test_handshake_byte_by_byte(serve: Serve) -> None:
    async with serve(Upgrading()) as it:
        plain = await it.connect()
        peer = tls_client(plain)
        for byte in b"STARTTLS\n" + hello(peer):
            await plain.send(bytes([byte]))
        assert await plain.line() == b"go"
        data, plain._kept = plain._kept, b""
        while not peer.below.engine.handshake(data):
            for byte in peer.below.engine.take_outgoing():
                await plain.send(bytes([byte]))
            data = await plain._receive()
        peer.below.engine.encrypt(b"first\n")
        for byte in peer.below.engine.take_outgoing():
            await plain.send(bytes([byte]))
        assert await peer.line() == b"first"


async def test_requests_that_come_with_the_end_of_the_handshake_are_answered(tls_version: str) -> None:
    async with serving(Upgrading()) as it:
        peer = tls_client(await agreed(it), the_certificates().client_context(tls_version))
        engine, data = peer.below.engine, b""
        while not engine.handshake(data):
            await peer.below.flush()
            data = await peer.below._receive()
        engine.encrypt(b"a\nb\n")
        await peer.below.flush()
        assert await peer.lines(2) == [b"a", b"b"]


async def test_on_connection_may_start_tls() -> None:
    """The first bytes are then those of TLS, also if they arrive before the call."""

    class AtOnce(Upgrading):
        async def on_connection(self, client: Client, /) -> None:
            await super().on_connection(client)
            await until(lambda: self.sent)
            await sleep(0.01)
            await client.start_tls(self.context)

        sent = False

    handler = AtOnce()
    async with serving(handler) as it:
        plain = await it.connect()
        peer = tls_client(plain)
        await plain.send(hello(peer))
        handler.sent = True
        await peer.below.handshake()
        assert await peer.ask(b"a") == b"a"


async def test_on_connection_that_is_a_generator_may_start_tls() -> None:
    class Greeting(Upgrading):
        async def on_connection(self, client: Client, /) -> Requests:  # type: ignore[override]
            self.diary.append((yield None))
            await self.upgrade(client)
            self.diary.append((yield None))

    handler = Greeting()
    async with serving(handler) as it:
        peer = await upgraded(it)
        await peer.send(b"for on_connection\n")
        assert await peer.ask(b"for handle") == b"for handle"
    assert handler.diary == ["STARTTLS", "upgraded", "for on_connection", "disconnected"]


async def test_function_that_the_handler_calls_may_start_tls() -> None:
    class Delegating(Upgrading):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            await self.negotiate(client)
            await client.send_packet((yield None))

        async def negotiate(self, client: Client) -> None:
            assert await client.recv_packet() == "STARTTLS"
            await self.upgrade(client)
            await client.send_packet(await client.recv_packet())

    async with serving(Delegating()) as it:
        plain = await it.connect()
        await plain.send(b"a\n")
        assert await plain.ask(b"STARTTLS") == b"go"
        peer = tls_client(plain)
        await peer.below.handshake()
        assert await peer.ask(b"b") == b"b"
        assert await peer.ask(b"c") == b"c"


async def test_protocol_and_encryption_may_change_together() -> None:
    class Both(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            raw = client.set_protocol(StreamProtocol(RawSerializer()))
            await raw.send_packet(await raw.recv_packet())
            client.set_protocol(line_protocol())

    async with serving(Both()) as it:
        peer = await upgraded(it)
        await peer.send(b"no line")
        assert await peer.below.receive_plaintext() == b"no line"
        assert await peer.ask(b"a line") == b"a line"


async def test_answers_leave_in_the_callback_that_brings_the_requests(serve: Serve) -> None:
    """As with TLS from the start: the handler runs in it, and what it sends is one record."""

    class InCallback(Upgrading):
        turn = 0
        turns: list[int]

        async def handle(self, client: Client, /) -> Requests:
            _ = yield None
            await self.upgrade(client)
            self.turns = []
            while True:
                request = yield None
                self.turns.append(self.turn)
                await client.send_packet(request)

    handler = InCallback()
    async with serve(handler) as it:
        peer = await upgraded(it)
        await peer.ask(b"first")
        handler.turns.clear()
        await peer.send(b"a\nb\nc\n")

        async def count() -> None:
            while len(handler.turns) < 3:
                handler.turn += 1
                await ensure_backend(None).coro_yield()

        await spawn(count()).result()
        assert len(set(handler.turns)) == 1
        received = b""
        while len(received) < 6:
            received += await peer.below.receive_plaintext()
        assert received == b"a\nb\nc\n"


async def test_large_data_goes_both_ways(serve: Serve) -> None:
    class Raw(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            raw = client.set_protocol(StreamProtocol(RawSerializer()))
            while True:
                await raw.send_packet(await raw.recv_packet())

    data = bytes(range(256)) * 12_000
    async with serve(Raw()) as it:
        peer = await upgraded(it)
        sending = spawn(peer.send(data))
        received = bytearray()
        while len(received) < len(data):
            received += await peer.below.receive_plaintext()
        assert received == data
        await sending.result()


async def test_plaintext_that_the_client_has_not_read_yet_comes_before_tls(serve: Serve) -> None:
    class Long(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await client.send_packet("x" * 3_000_000)
            await super().upgrade(client)

    async with serve(Long()) as it:
        plain = await it.connect(receive_buffer=1 << 14)
        await plain.send(b"STARTTLS\n")
        await sleep(0.02)
        assert await plain.line() == b"x" * 3_000_000
        assert await plain.line() == b"go"
        peer = tls_client(plain)
        await peer.below.handshake()
        assert await peer.ask(b"a") == b"a"


async def test_low_level_server_has_it_too() -> None:
    async def handle(client: Any) -> Requests:
        _ = yield None
        await client.send_packet("go")
        await client.start_tls(the_certificates().server_context())
        while True:
            await client.send_packet((yield None))

    backend = ensure_backend(None)
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
    async with AsyncStreamServer(listener, line_protocol(), 1024) as server:
        task = spawn(server.serve(handle))
        with contextlib.closing(Peer(socket.socket())) as plain:
            await plain.connect(listener.extra(SocketAttribute.sockname))
            assert await plain.ask(b"STARTTLS") == b"go"
            peer = tls_client(plain)
            await peer.below.handshake()
            assert await peer.ask(b"a") == b"a"
            await peer.leave()
        task.cancel()
        await task.wait()


# ------------------------------------------------------------------------------------------------------- attributes


async def test_client_knows_about_tls_afterwards(certificates: Certificates) -> None:
    facts: list[Any] = []

    class Curious(Upgrading):
        async def upgrade(self, client: Client) -> None:
            with pytest.raises(TypedAttributeLookupError):
                client.extra(TLSAttribute.sslcontext)
            address = client.extra(INETClientAttribute.remote_address)
            await super().upgrade(client)
            assert client.extra(INETClientAttribute.remote_address) == address
            assert client.extra(INETClientAttribute.socket).getpeername() == tuple(address)
            assert client.extra(TLSAttribute.sslcontext) is self.context
            facts.append(client.extra(TLSAttribute.tls_version))
            facts.append(client.extra(TLSAttribute.standard_compatible))
            facts.append(client.extra(TLSAttribute.alpn_protocol))
            facts.append(client.extra(TLSAttribute.server_name))

    contexts = certificates.server_context(), certificates.client_context("TLSv1.3")
    for context in contexts:
        context.set_alpn_protocols(["lines"])
    handler = Curious(contexts[0], ssl_standard_compatible=False)
    async with serving(handler) as it:
        peer = await upgraded(it, contexts[1])
        assert await peer.ask(b"a") == b"a"
        assert facts == ["TLSv1.3", False, "lines", "localhost"]
        peer.close()
        await until(lambda: "disconnected" in handler.diary)
        assert handler.client.extra(INETClientAttribute.remote_address) is not None


async def test_log_names_the_client_before_and_after(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            raise LookupError("after TLS")

    handler = Failing()
    with caplog.at_level(logging.INFO):
        async with serving(handler) as it:
            plain = await agreed(it)
            _, port = plain.sock.getsockname()
            peer = tls_client(plain)
            with contextlib.suppress(OSError):
                await peer.below.handshake()
            await until(lambda: "disconnected" in handler.diary)
    [record] = problems(caplog.records)
    assert record.levelno == logging.ERROR
    assert str(port) in record.getMessage()
    assert [str(port) in record.getMessage() for record in caplog.records if "onnect" in record.getMessage()] == [
        True,
        True,
    ]


# --------------------------------------------------------------------------------------------------- injected plaintext


@pytest.mark.parametrize("where", ["same segment", "next segment", "during the handshake"])
async def test_plaintext_before_the_handshake_is_refused(
    serve: Serve, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No handler sees it, before or after the handshake. One line in the log says what happened."""
    handler = Noted()
    async with serve(handler) as it:
        plain = await it.connect()
        await plain.send(b"STARTTLS\n" + (b"injected\n" if where == "same segment" else b""))
        if where == "during the handshake":
            assert await plain.line() == b"go"
            await sleep(0.01)
        if where != "same segment":
            await plain.send(b"injected\n")
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "SSLError", "disconnected"]
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert "9 bytes of plaintext arrived before the TLS handshake" in record.getMessage()
    assert "CVE-2011-0411" in record.getMessage()
    assert "\n" not in record.getMessage()


async def test_plaintext_and_then_a_handshake_in_one_segment_is_refused(serve: Serve) -> None:
    handler = Noted()
    async with serve(handler) as it:
        plain = await it.connect()
        await plain.send(b"STARTTLS\ninjected\n" + hello(tls_client(plain)))
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "SSLError", "disconnected"]


async def test_handler_that_catches_the_error_gets_no_more_requests(serve: Serve) -> None:
    class Stubborn(Upgrading):
        async def handle(self, client: Client, /) -> Requests:
            _ = yield None
            with pytest.raises(ssl.SSLError):
                await client.start_tls(self.context)
            assert client.is_closing()
            with pytest.raises(ClientClosedError):
                await client.send_packet("x")
            with pytest.raises(ClientClosedError):
                await client.start_tls(self.context)
            self.diary.append((yield None))

    handler = Stubborn()
    async with serve(handler) as it:
        plain = await it.connect()
        await plain.send(b"STARTTLS\ninjected\n")
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "disconnected"]


# --------------------------------------------------------------------------------------------------- failed handshakes


async def test_failed_handshake_is_one_line_in_the_log(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Noted()
    async with serving(handler) as it:
        plain = await agreed(it)
        port = plain.sock.getsockname()[1]
        peer = tls_client(plain, certificates.client_context(trusting=False))
        with pytest.raises(ssl.SSLCertVerificationError):
            await peer.below.handshake()
        await peer.below.flush()  # the alert with the reason
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)
        peer = await upgraded(it)
        assert await peer.ask(b"next") == b"next"
    assert handler.diary[:3] == ["connected", "SSLError", "disconnected"]
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert str(port) in record.getMessage()


async def test_handshake_has_a_time_limit(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    handler = Noted(ssl_handshake_timeout=0.02)
    async with serve(handler) as it:
        plain = await agreed(it)
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "HandshakeTimeoutError", "disconnected"]
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage().endswith("The TLS handshake took too long")


@pytest.mark.parametrize("end", [Peer.close, Peer.half_close, Peer.reset])
@pytest.mark.parametrize("begins", [True, False])
async def test_client_that_leaves_during_the_handshake_is_no_error(
    serve: Serve, end: Callable[[Peer], None], begins: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Noted()
    async with serve(handler) as it:
        plain = await agreed(it)
        if begins:
            await plain.send(hello(tls_client(plain))[:100])
            await sleep(0.005)
        end(plain)
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary[1] in ("ConnectionResetError", "ConnectionAbortedError", "SSLEOFError", "BrokenPipeError")
    assert problems(caplog.records) == []


async def test_client_that_is_gone_before_the_call_is_no_error(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Late(Noted):
        async def upgrade(self, client: Client) -> None:
            self.diary.append("asked")
            await until(lambda: self.may_go_on)
            await sleep(0.01)
            await super().upgrade(client)

        may_go_on = False

    handler = Late()
    async with serve(handler) as it:
        plain = await it.connect()
        await plain.send(b"STARTTLS\n")
        await until(lambda: "asked" in handler.diary)
        plain.reset()
        handler.may_go_on = True
        await until(lambda: "disconnected" in handler.diary)
    assert problems(caplog.records) == []


async def test_server_that_stops_during_the_handshake(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    handler = Noted()
    async with serve(handler) as it:
        plain = await agreed(it)
        await sleep(0.005)
        await it.server.shutdown()
        assert await plain.gone()
    assert "Error" in handler.diary[1] or "Cancelled" in handler.diary[1]
    assert handler.diary[2:] == ["disconnected"]
    assert problems(caplog.records) == []


async def test_cancelled_upgrade_closes_the_connection(serve: Serve) -> None:
    class Impatient(Upgrading):
        async def handle(self, client: Client, /) -> Requests:
            _ = yield None
            with client.backend().move_on_after(0.01) as scope:
                await self.upgrade(client)
            assert scope.cancelled_caught()
            assert client.is_closing()
            self.diary.append("cancelled")
            yield None
            self.diary.append("unreachable")

    handler = Impatient()
    async with serve(handler) as it:
        plain = await agreed(it)
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", "cancelled", "disconnected"]


@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_bytes_that_arrive_while_a_cancelled_upgrade_closes_are_ignored(standard_compatible: bool) -> None:
    class Cancelled(Upgrading):
        scope: CancelScope

        async def upgrade(self, client: Client) -> None:
            with client.backend().open_cancel_scope() as self.scope:
                await super().upgrade(client)

    handler = Cancelled(ssl_standard_compatible=standard_compatible)
    async with serving(handler) as it:
        for turns in range(6):
            plain = await agreed(it)
            await sleep(0.005)
            handler.scope.cancel()
            await turns_of_the_loop(turns)
            with contextlib.suppress(ConnectionError):
                plain.sock.send(hello(tls_client(plain)))
            assert await plain.gone()


async def test_another_task_closes_during_the_handshake(serve: Serve) -> None:
    handler = Noted()
    async with serve(handler) as it:
        plain = await agreed(it)
        await sleep(0.005)
        with ensure_backend(None).timeout(5):  # the handshake may take 60 seconds
            await handler.client.aclose()
        assert handler.client.is_closing()
        assert await plain.gone()
        await until(lambda: "disconnected" in handler.diary)


# ---------------------------------------------------------------------------------------------------------- arguments


async def test_wrong_arguments_change_nothing(certificates: Certificates) -> None:
    class Wrong(Upgrading):
        async def upgrade(self, client: Client) -> None:
            for wrong in (None, True, "context", ssl):
                with pytest.raises(TypeError, match="SSLContext"):
                    await client.start_tls(wrong)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="clients only"):
                await client.start_tls(certificates.client_context())
            for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
                options: dict[str, Any] = {name: -1}
                with pytest.raises(ValueError, match=name):
                    await client.start_tls(self.context, **options)
            await super().upgrade(client)

    async with serving(Wrong()) as it:
        peer = await upgraded(it)
        assert await peer.ask(b"a") == b"a"


async def test_tls_starts_once(serve: Serve) -> None:
    class Twice(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            with pytest.raises(RuntimeError, match="uses TLS already"):
                await client.start_tls(self.context)
            with pytest.raises(UnsupportedOperation):
                await client.send_eof()

    async with serve(Twice()) as it:
        peer = await upgraded(it)
        await peer.send(b"b\n")
        assert await peer.ask(b"a") == b"b"
        assert await peer.line() == b"a"


async def test_tls_does_not_start_on_a_connection_that_began_with_it(certificates: Certificates) -> None:
    class Again(Upgrading):
        async def upgrade(self, client: Client) -> None:
            with pytest.raises(RuntimeError, match="uses TLS already"):
                await client.start_tls(self.context)
            await client.send_packet("no")

    async with serving(Again(), ssl=certificates.server_context()) as it:
        peer = await connect(it)
        assert await peer.ask(b"STARTTLS") == b"no"
        assert await peer.ask(b"a") == b"a"


async def test_tls_does_not_start_after_the_end_of_sending() -> None:
    class Ended(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await client.send_eof()
            with pytest.raises(RuntimeError, match="send_eof"):
                await client.start_tls(self.context)
            self.diary.append("refused")

    handler = Ended()
    async with serving(handler) as it:
        plain = await it.connect()
        await plain.send(b"STARTTLS\nb\n")
        assert await plain.rest() == b""
        await until(lambda: "refused" in handler.diary)


async def test_tls_does_not_start_below_a_handler_that_waits() -> None:
    handler = Upgrading()
    async with serving(handler) as it:
        plain = await it.connect()
        assert await plain.ask(b"a") == b"a"
        with pytest.raises(BusyResourceError):
            await handler.client.start_tls(handler.context)
        peer = await upgraded(it)
        assert await peer.ask(b"a") == b"a"
        assert await plain.ask(b"b") == b"b"


async def test_start_of_a_packet_that_a_generator_has_taken_is_not_given_back() -> None:
    class Late(Upgrading):
        async def handle(self, client: Client, /) -> Requests:
            with pytest.raises(TimeoutError):
                yield 0.01
            with pytest.raises(UnsupportedOperation, match="3 bytes"):
                await client.start_tls(self.context)
            await client.send_packet((yield None))

    server: Any = AsyncTCPNetworkServer("127.0.0.1", 0, PROTOCOLS["generator"](), Late())
    async with run(server) as it:
        plain = await it.connect()
        await plain.send(b"abc")
        await sleep(0.05)
        assert await plain.ask(b"d") == b"abcd"


# ------------------------------------------------------------------------------------------------------- other tasks


async def test_tasks_that_send_meanwhile_wait_and_are_encrypted(serve: Serve) -> None:
    handler = Upgrading()
    async with serve(handler) as it:
        plain = await agreed(it)
        await sleep(0.005)
        sending = [spawn(handler.client.send_packet(str(number) * 1000)) for number in range(3)]
        await sleep(0.01)
        assert not any(task.done() for task in sending)
        peer = tls_client(plain)
        await peer.below.handshake()
        assert sorted(await peer.lines(3)) == [str(number).encode() * 1000 for number in range(3)]
        for task in sending:
            await task.result()
        assert await peer.ask(b"a") == b"a"


async def test_tasks_that_send_meanwhile_learn_of_a_failure(serve: Serve) -> None:
    handler = Noted(ssl_handshake_timeout=0.03)
    async with serve(handler) as it:
        plain = await agreed(it)
        await sleep(0.005)
        sending = spawn(handler.client.send_packet("too early"))
        received = await plain.rest()
        with pytest.raises((ClientClosedError, ConnectionError)):
            await sending.result()
        assert b"too early" not in received


async def test_handshake_waits_for_tasks_that_send(serve: Serve) -> None:
    class Beside(Upgrading):
        async def upgrade(self, client: Client) -> None:
            self.sending = [spawn(client.send_packet("x" * 2_000_000)) for _ in range(2)]
            await sleep(0.02)
            await super().upgrade(client)

    async with serve(Beside()) as it:
        plain = await it.connect(receive_buffer=1 << 14)
        await plain.send(b"STARTTLS\n")
        assert await plain.lines(3) == [b"x" * 2_000_000] * 2 + [b"go"]
        peer = tls_client(plain)
        await peer.below.handshake()
        assert await peer.ask(b"a") == b"a"


async def test_nothing_receives_or_changes_during_the_handshake(serve: Serve) -> None:
    handler = Upgrading()
    async with serve(handler) as it:
        plain = await agreed(it)
        await sleep(0.005)
        with pytest.raises(RuntimeError, match="in the task of the connection"):
            await handler.client.recv_packet()
        peer = tls_client(plain)
        await peer.below.handshake()
        assert await peer.ask(b"a") == b"a"


# ------------------------------------------------------------------------------------------------------------ the end


async def test_handler_that_closes_sends_the_alert_first(serve: Serve, tls_version: str) -> None:
    class Closing(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            await client.send_packet("bye")
            await client.aclose()
            self.diary.append("closed")

    handler = Closing(the_certificates().server_context(tls_version))
    async with serve(handler) as it:
        peer = await upgraded(it)
        assert await peer.line() == b"bye"
        assert await peer.below.receive_plaintext() == b""
        assert peer.below.engine.closed_by_peer
        assert "closed" not in handler.diary
        await peer.leave()
        await until(lambda: "disconnected" in handler.diary)


async def test_handler_that_returns_after_the_end_sends_the_alert(serve: Serve, tls_version: str) -> None:
    """The client has closed its direction. It gets the last answers and the alert."""
    handler = Upgrading(the_certificates().server_context(tls_version))
    async with serve(handler) as it:
        peer = await upgraded(it)
        peer.below.engine.encrypt(b"b\nc\n")
        await peer.below.close_tls()
        assert await peer.rest() == b"b\nc\n"
        assert peer.below.engine.closed_by_peer
        await until(lambda: "disconnected" in handler.diary)


async def test_client_that_does_not_close_is_not_waited_for_long(serve: Serve) -> None:
    class Closing(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            await client.aclose()

    handler = Closing(ssl_shutdown_timeout=0.02)
    async with serve(handler) as it:
        peer = await upgraded(it)
        await until(lambda: "disconnected" in handler.diary)
        assert await peer.gone()


@pytest.mark.parametrize("standard_compatible", [True, False])
async def test_client_that_just_leaves_ends_the_connection(
    serve: Serve, standard_compatible: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Upgrading(ssl_standard_compatible=standard_compatible)
    with caplog.at_level(logging.INFO):
        async with serve(handler) as it:
            peer = await upgraded(it)
            assert await peer.ask(b"a") == b"a"
            peer.close()
            await until(lambda: any("disconnected" in record.getMessage() for record in caplog.records))
    assert problems(caplog.records) == []
    assert any("TLS stream was cut" in record.getMessage() for record in caplog.records) is standard_compatible


async def test_cut_stream_in_a_packet_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    handler = Upgrading()
    with caplog.at_level(logging.INFO):
        async with serve(handler) as it:
            peer = await upgraded(it)
            await peer.send(b"part")
            await sleep(0.005)
            peer.half_close()
            await peer.gone()
            await until(lambda: any("4 bytes" in record.getMessage() for record in caplog.records))


async def test_bad_record_is_an_error_at_the_yield(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    handler = Upgrading()
    async with serve(handler) as it:
        peer = await upgraded(it)
        await peer.below.send(b"nonsense" * 10)
        assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None


async def test_invalid_packet_after_the_upgrade_is_that_of_the_protocol(certificates: Certificates) -> None:
    class Strict(Upgrading):
        async def upgrade(self, client: Client) -> None:
            await super().upgrade(client)
            with pytest.raises(StreamProtocolParseError):
                await client.recv_packet()

    async with serving(Strict()) as it:
        peer = await upgraded(it)
        await peer.send(b"\xff\n")
        assert await peer.ask(b"a") == b"a"


async def test_nothing_is_left_behind(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    references: list[weakref.ref[Any]] = []

    class Remembering(Upgrading):
        async def upgrade(self, client: Client) -> None:
            references.append(weakref.ref(client._transport))  # type: ignore[attr-defined]
            try:
                await super().upgrade(client)
            finally:
                references.append(weakref.ref(client._transport))  # type: ignore[attr-defined]

        async def on_connection(self, client: Client, /) -> None:
            pass

    caplog.set_level(logging.CRITICAL)  # a record refers to an error, and that to frames
    handler = Remembering()
    async with all_closed(), serve(handler) as it:
        good = await upgraded(it)
        assert await good.ask(b"a") == b"a"
        await good.leave()
        bad = await agreed(it)
        await bad.send(b"nonsense")
        assert await bad.gone()
        gone = await agreed(it)
        gone.reset()
        await until(lambda: handler.diary.count("disconnected") == 3)
    gc.collect()
    assert len(references) == 6
    await until(lambda: not any(reference() for reference in references))
