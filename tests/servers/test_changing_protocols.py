"""Handlers that exchange their protocol, receive without a ``yield``, and hand the stream over."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.background import new_event, spawn, until
from tests.support.framing_cases import LengthPrefix, cut
from tests.support.lines import line_protocol
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Requests, run, serving

from easynetwork.exceptions import (
    BusyResourceError,
    ClientClosedError,
    IncompletePacketError,
    StreamProtocolParseError,
    UnsupportedOperation,
)
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer, RawSerializer
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.struct import AbstractStructSerializer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer

EVERY_BACKEND = True

RAW = StreamProtocol(RawSerializer())


class Numbers(AbstractStructSerializer[int, int]):
    """Numbers of two bytes."""

    def __init__(self) -> None:
        super().__init__("!H")

    def iter_values(self, packet: int) -> tuple[int]:
        return (packet,)

    def from_tuple(self, packet_tuple: tuple[Any, ...]) -> int:
        return int(packet_tuple[0])


NUMBERS = StreamProtocol(Numbers())


class Switching(Handler):
    """Receives lines, until one names what the next packet will be."""

    async def handle(self, client: Client, /) -> Requests:
        match (yield None):
            case "json":
                speaking_json = client.set_protocol(StreamProtocol(JSONSerializer()))
                await speaking_json.send_packet(await speaking_json.recv_packet())
            case "number":
                speaking_numbers = client.set_protocol(NUMBERS)
                await speaking_numbers.send_packet(await speaking_numbers.recv_packet())
            case "buffer":
                client.set_protocol(BufferedStreamProtocol(LengthPrefix()))
                await client.send_packet((yield None))
            case "raw":
                client.set_protocol(StreamProtocol(RawSerializer(exactly=5)))
                await client.send_packet((yield None))
            case line:
                await client.send_packet(line)
        client.set_protocol(line_protocol())


CONVERSATION = b'a\njson\n{"b": 1}\nnumber\n\n\nbuffer\n\3abcraw\n12345b\nnumber\n\n\nc\n'
ANSWERS = b'a\n{"b":1}\n\n\n\3abc12345b\n\n\nc\n'


# -------------------------------------------------------------------------------------------------- exchanging it


async def test_all_protocols_may_arrive_in_one_segment() -> None:
    async with serving(Switching()) as it:
        peer = await it.connect()
        await peer.send(CONVERSATION)
        peer.half_close()
        assert await peer.rest() == ANSWERS


async def test_or_byte_by_byte() -> None:
    async with serving(Switching()) as it:
        peer = await it.connect()
        for byte in CONVERSATION:
            await peer.send(bytes([byte]))
        peer.half_close()
        assert await peer.rest() == ANSWERS


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    server: Any = AsyncUnixStreamServer(str(tmp_path / "socket"), line_protocol(), Switching(), ancillary_bufsize=100)
    async with run(server) as it:
        peer = await it.connect()
        for piece in cut(CONVERSATION, [7, 1, 3]):
            await peer.send(piece)
        peer.half_close()
        assert await peer.rest() == ANSWERS


@pytest.mark.not_on_trio("hypothesis needs a loop of its own")
def test_any_split_of_the_stream() -> None:
    @given(st.lists(st.integers(1, len(CONVERSATION)), max_size=5))
    @settings(derandomize=True, deadline=None, max_examples=20, database=None)
    def check(cuts: list[int]) -> None:
        async def main() -> None:
            async with serving(Switching()) as it:
                peer = await it.connect()
                for piece in cut(CONVERSATION, cuts):
                    await peer.send(piece)
                peer.half_close()
                assert await peer.rest() == ANSWERS

        asyncio.run(main())

    check()


async def test_the_decoder_may_have_the_state_of_one_connection() -> None:
    """Each connection gets a serializer of its own, before any byte is decoded."""

    class Numbered(AbstractIncrementalPacketSerializer[str, str]):
        def __init__(self) -> None:
            self.received = self.sent = 0

        def incremental_serialize(self, packet: str) -> Generator[bytes]:
            self.sent += 1
            yield b"%d %b\n" % (self.sent, packet.encode())

        def incremental_deserialize(self) -> Generator[None, bytes, tuple[str, bytes]]:
            data = b""
            while b"\n" not in data:
                data += yield
            self.received += 1
            line, _, rest = data.partition(b"\n")
            return f"{self.received}.{line.decode()}", rest

    class Stateful(Handler):
        async def on_connection(self, client: Client, /) -> None:
            client.set_protocol(StreamProtocol(Numbered()))

    async with serving(Stateful()) as it:
        for _ in range(2):
            peer = await it.connect()
            await peer.send(b"a\nb\n")
            assert await peer.lines(2) == [b"1 1.a", b"2 2.b"]


async def test_what_was_decoded_ahead_is_decoded_again() -> None:
    """The decoder of lines makes packets of the whole segment at once, and of what was never a line."""

    class Once(Handler):
        async def handle(self, client: Client, /) -> Requests:
            first = yield None
            raw = client.set_protocol(RAW)
            await raw.send_packet(first.encode() + b"|" + await raw.recv_packet())

    async with serving(Once()) as it:
        peer = await it.connect()
        await peer.send(b"first\n\xff\xfe\n\xff\nlast\npart")
        peer.half_close()
        assert await peer.rest() == b"first|\xff\xfe\n\xff\nlast\npart"


async def test_invalid_packets_are_those_of_the_protocol_that_is_set() -> None:
    class Strict(Handler):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            client.set_protocol(StreamProtocol(JSONSerializer()))
            with pytest.raises(StreamProtocolParseError):
                yield None
            client.set_protocol(line_protocol())
            self.diary.append((yield None))

    handler = Strict()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"{\n{\n{\n")
        await until(lambda: len(handler.diary) == 3)
    assert handler.diary[1:3] == ["{", "{"]


async def test_wrong_protocol_object_changes_nothing() -> None:
    class Wrong(Handler):
        async def handle(self, client: Client, /) -> Requests:
            line = yield None
            for wrong in (None, JSONSerializer(), "x"):
                with pytest.raises(TypeError, match="StreamProtocol"):
                    client.set_protocol(wrong)  # type: ignore[arg-type]
            await client.send_packet(line)

    async with serving(Wrong()) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"


async def test_protocol_is_not_exchanged_below_a_handler_that_waits() -> None:
    handler = Handler()
    async with serving(handler) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        with pytest.raises(BusyResourceError):
            handler.client.set_protocol(RAW)
        assert await peer.ask(b"b") == b"b"


async def test_protocol_is_not_exchanged_below_recv_packet() -> None:
    class Receiving(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            self.diary.append("receiving")
            await client.send_packet(await client.recv_packet())

    handler = Receiving()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        await until(lambda: "receiving" in handler.diary)
        with pytest.raises(BusyResourceError):
            handler.client.set_protocol(RAW)
        with pytest.raises(BusyResourceError):
            await handler.client.recv_packet()
        assert await peer.ask(b"b") == b"b"


async def test_another_task_may_exchange_it_while_the_handler_waits_for_something_else() -> None:
    class Waiting(Handler):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            self.go_on = new_event()
            await self.go_on.wait()
            self.diary.append((yield None))

    handler = Waiting()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\nc")
        await until(lambda: "a" in handler.diary)
        handler.client.set_protocol(RAW)
        handler.go_on.set()
        await until(lambda: len(handler.diary) == 3)
    assert str(handler.diary[2]) == "b'b\\nc'"


async def test_start_of_a_packet_that_a_generator_has_taken_is_not_given_back() -> None:
    class Late(Handler):
        async def handle(self, client: Client, /) -> Requests:
            client.set_protocol(StreamProtocol(LengthPrefix()))
            with pytest.raises(TimeoutError):
                yield 0
            with pytest.raises(UnsupportedOperation, match="2 bytes"):
                client.set_protocol(RAW)
            await client.send_packet((yield None))

    async with serving(Late()) as it:
        peer = await it.connect()
        await peer.send(b"\3a")
        await ensure_backend(None).sleep(0.05)
        await peer.send(b"bc")
        peer.half_close()
        assert await peer.rest() == b"\3abc"


async def test_a_closed_client_has_no_protocol() -> None:
    class Closing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            await client.aclose()
            with pytest.raises(ClientClosedError):
                client.set_protocol(RAW)
            with pytest.raises(ClientClosedError):
                await client.recv_packet()
            with pytest.raises(ClientClosedError):
                await client.send_eof()
            self.diary.append("closed")

    handler = Closing()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\n")
        assert await peer.gone()
        await until(lambda: "closed" in handler.diary)


# ------------------------------------------------------------------------------------------------ receiving by a call


class Delegating(Handler):
    """Asks its questions in functions of its own."""

    async def handle(self, client: Client, /) -> Requests:
        name = yield None
        password = await self.ask(client, f"password of {name}?")
        await client.send_packet(f"{name}:{password}")

    async def ask(self, client: Client, question: str) -> str:
        await client.send_packet(question)
        answer: str = await client.recv_packet()
        return answer


async def test_handler_delegates_to_coroutines() -> None:
    async with serving(Delegating()) as it:
        peer = await it.connect()
        for _ in range(2):
            assert await peer.ask(b"me") == b"password of me?"
            assert await peer.ask(b"secret") == b"me:secret"
        await peer.send(b"you\nknown\nthem\n")
        assert await peer.lines(3) == [b"password of you?", b"you:known", b"password of them?"]


async def test_on_connection_receives_by_calls() -> None:
    class Greeting(Delegating):
        async def on_connection(self, client: Client, /) -> None:
            self.diary.append(await self.ask(client, "who?"))
            self.diary.append(await self.ask(client, "where?"))

    handler = Greeting()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"me\nhere\nlogin\n")
        assert await peer.lines(3) == [b"who?", b"where?", b"password of login?"]
    assert handler.diary[:2] == ["me", "here"]


async def test_client_that_leaves_during_a_call_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    class Noted(Delegating):
        async def ask(self, client: Client, question: str) -> str:
            try:
                return await super().ask(client, question)
            except BaseException as exc:
                self.diary.append(type(exc).__name__)
                raise

    handler = Noted()
    with caplog.at_level(logging.INFO):
        async with serving(handler) as it:
            peer = await it.connect()
            await peer.send(b"me\n")
            assert await peer.line()
            peer.close()
            await until(lambda: "disconnected" in handler.diary)
            peer = await it.connect()
            await peer.send(b"me\nsecr")
            peer.half_close()
            await peer.rest()
            await until(lambda: handler.diary.count("disconnected") == 2)
    assert [entry for entry in handler.diary if entry.endswith("Error")] == [
        "ConnectionAbortedError",
        "IncompletePacketError",
    ]
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert any("in the middle of a packet (4 bytes)" in record.getMessage() for record in caplog.records)


async def test_client_that_leaves_during_on_connection_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    class Greeting(Handler):
        async def on_connection(self, client: Client, /) -> None:
            try:
                await client.recv_packet()
            except IncompletePacketError as exc:
                self.diary.append(f"{exc.nbytes} bytes")
                raise

    handler = Greeting()
    with caplog.at_level(logging.INFO):
        async with serving(handler) as it:
            peer = await it.connect()
            await peer.send(b"me")
            peer.half_close()
            assert await peer.rest() == b""
    assert handler.diary == ["2 bytes"]
    assert {record.levelno for record in caplog.records} == {logging.INFO}


async def test_time_limit_of_a_call() -> None:
    class Impatient(Handler):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            with pytest.raises(TimeoutError):
                await client.recv_packet(timeout=0.01)
            await client.send_packet("hurry")
            for wrong in (-1, float("nan")):
                with pytest.raises(ValueError, match="timeout"):
                    await client.recv_packet(timeout=wrong)
            await client.send_packet(await client.recv_packet(timeout=60))

    async with serving(Impatient()) as it:
        peer = await it.connect()
        await peer.send(b"a\nb")
        assert await peer.line() == b"hurry"
        assert await peer.ask(b"c") == b"bc"


async def test_time_limit_around_a_call() -> None:
    class Impatient(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            with client.backend().move_on_after(0.01):
                await client.recv_packet()
                self.diary.append("unreachable")
            await client.send_packet("hurry")
            with client.backend().timeout(60):
                await client.send_packet(await client.recv_packet())

    handler = Impatient()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\nb")
        assert await peer.line() == b"hurry"
        assert await peer.ask(b"c") == b"bc"
    assert "unreachable" not in handler.diary


@pytest.mark.lazy_tasks(reason="a task that begins at once, on the stack of the handler, gets a packet that is ready")
async def test_other_tasks_may_not_receive_for_the_handler() -> None:
    class Careless(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            with pytest.raises(RuntimeError, match="in the task of the connection"):
                await spawn(client.recv_packet()).result()
            await client.send_packet((yield None))

    async with serving(Careless()) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\n")
        assert await peer.line() == b"b"


async def test_call_in_a_handler_that_is_closed() -> None:
    class Leaving(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                while True:
                    yield None
            finally:
                with pytest.raises(ConnectionAbortedError):
                    await client.recv_packet()
                self.diary.append("left")

    handler = Leaving()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        peer.half_close()
        assert await peer.rest() == b""
        await until(lambda: "left" in handler.diary)


async def test_server_stops_during_a_call() -> None:
    handler = Delegating()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"me\n")
        assert await peer.line()
    assert handler.diary == ["connected", "disconnected"]


async def test_generator_of_a_lowlevel_server_has_the_same_methods() -> None:
    async def handle(client: Any) -> Requests:
        first = yield None
        second = await client.recv_packet()
        client.set_protocol(RAW)
        third = await client.recv_packet()
        await client.send_packet(b"|".join((first.encode(), second.encode(), third)))
        await client.send_eof()
        await client.aclose()

    backend = ensure_backend(None)
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
    async with AsyncStreamServer(listener, line_protocol(), 1024) as server:
        serving_task = spawn(server.serve(handle))
        with socket.socket() as sock:
            peer = Peer(sock)
            await peer.connect(listener.extra(SocketAttribute.sockname))
            await peer.send(b"a\nb\nc")
            assert await peer.rest() == b"a|b|c"
        serving_task.cancel()
        await serving_task.wait()


# ------------------------------------------------------------------------------------------------- handing it over


async def test_stream_is_handed_over_after_a_handshake() -> None:
    """The upload of a file: a line says how long it is. The rest of the stream goes back as it comes."""

    class Upload(Handler):
        async def handle(self, client: Client, /) -> Requests:
            size = int((yield None))
            self.diary.append(str(len(await client.set_protocol(StreamProtocol(RawSerializer(size))).recv_packet())))
            raw = client.set_protocol(RAW)
            await raw.send_packet(bytearray(b"rest: "))  # type: ignore[arg-type]  # any buffer
            try:
                while True:
                    await raw.send_packet(await raw.recv_packet())
            except ConnectionAbortedError:
                await raw.send_packet(memoryview(b"!"))  # type: ignore[arg-type]
                await raw.send_eof()
                await raw.send_eof()
                with pytest.raises(RuntimeError, match="send_eof"):
                    await raw.send_packet(b"late")

    handler = Upload()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"300000\n" + bytes(300_000) + b"and more")
        await peer.send(b" and more")
        peer.half_close()
        assert await peer.rest() == b"rest: and more and more!"
    assert handler.diary[1] == "300000"


async def test_end_of_sending_leaves_the_other_direction_open() -> None:
    class HalfClosing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            await client.send_eof()
            with pytest.raises(RuntimeError, match="send_eof"):
                await client.send_packet("late")
            client.set_protocol(NUMBERS)
            with pytest.raises(RuntimeError, match="send_eof"):
                await client.send_packet("late")
            self.diary.append(str((yield None)))

    handler = HalfClosing()
    async with serving(handler) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        assert await peer.rest() == b"a\n"
        await peer.send(struct.pack("!H", 258))
        await until(lambda: "258" in handler.diary)
