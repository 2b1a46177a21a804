"""What a handler may yield, and what is raised at a ``yield``."""

from __future__ import annotations

import contextlib
import logging
import math
from typing import Any

import pytest
from tests.support.background import new_event, sleep, spawn
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import turns_of_the_loop

from easynetwork.exceptions import (
    IncrementalDeserializeError,
    LimitOverrunError,
    StreamProtocolParseError,
    UnsupportedOperation,
)
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True


@pytest.mark.parametrize(
    "yielded", [None, 5, 5.0, math.inf, RecvParams(), RecvParams(timeout=5), RecvParams(timeout=math.inf)]
)
async def test_everything_that_is_no_short_timeout_waits_for_the_request(driver: str, yielded: Any) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield yielded
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await turns_of_the_loop(5)
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a", b"b"]
        assert await peer.ask(b"c") == b"c"


@pytest.mark.parametrize("yielded", [0.02, RecvParams(timeout=0.02), 0, 0.0, RecvParams(timeout=0)])
async def test_timeout_is_raised_at_the_yield_and_the_connection_goes_on(driver: str, yielded: Any) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        while True:
            try:
                request = yield yielded
            except TimeoutError:
                await client.send_packet("timeout")
                request = yield None
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"begin") == b"timeout"
        assert await peer.lines(0) == []
        for _ in range(3):
            assert await peer.ask(b"a") == b"a"
            assert await peer.line() == b"timeout"


@pytest.mark.parametrize("next_one", [0.02, 5, 0])
async def test_timeout_may_follow_a_timeout_without_a_pause(driver: str, next_one: float) -> None:
    async def handler(client: Client) -> Requests:
        await client.send_packet((yield None))
        timeouts = 0
        while timeouts < 3:
            try:
                request = yield (next_one if timeouts == 1 else 0.02)
            except TimeoutError:
                timeouts += 1
            else:
                await client.send_packet(f"{request} after {timeouts}")
        await client.send_packet("over")
        await client.send_packet((yield None))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"begin") == b"begin"
        if next_one == 5:
            await sleep(0.1)
            assert await peer.ask(b"a") == b"a after 1"
        else:
            assert await peer.line() == b"over"
            assert await peer.ask(b"a") == b"a"


async def test_timeout_of_zero_delivers_what_was_received(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        try:
            while True:
                request = yield 0
                await client.send_packet(request)
        except TimeoutError:
            await client.send_packet("timeout")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"begin\na\nb\nc\n")
        assert await peer.lines(4) == [b"a", b"b", b"c", b"timeout"]


async def test_timeout_of_zero_delivers_what_arrived_while_the_handler_was_busy(driver: str) -> None:
    go_on = new_event()

    async def handler(client: Client) -> Requests:
        request = yield None
        await client.send_packet("busy")
        await go_on.wait()
        request = yield 0
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"begin") == b"busy"
        await peer.send(b"a\n")
        await sleep(0.01)
        go_on.set()
        assert await peer.line() == b"a"


@pytest.mark.parametrize("before", [b"first\n", b"fir"])
async def test_timeout_of_zero_that_is_over_does_not_shorten_the_next_one(before: bytes, driver: str) -> None:
    handled = new_event()

    async def handler(client: Client) -> Requests:
        seen = [(yield None)]
        for data in (before, b"st\nnext\n"):
            sock.sendall(data)  # arrives at once, and is in time
            try:
                seen.append((yield 0))
            except TimeoutError:
                seen.append("late")
        await client.send_packet(" ".join(seen))
        handled.set()

    async with serving(handler, driver) as server:
        peer = await server.connect()
        sock = peer.sock
        await peer.send(b"begin\n")
        await handled.wait()
        assert await peer.line() == (b"begin first st" if before == b"first\n" else b"begin late first")


async def test_timeout_covers_the_whole_request_even_if_bytes_drip_in(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        try:
            request = yield 0.1
        except TimeoutError:
            await client.send_packet("timeout")
        request = yield None
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"begin\n")
        answer = spawn(peer.line())
        dripped = 0
        while not answer.done() and dripped < 500:
            await peer.send(b"x")
            dripped += 1
            await sleep(0.01)
        assert await answer.result() == b"timeout"
        assert dripped < 500
        assert await peer.ask(b"end") == b"x" * dripped + b"end"  # and not one byte was lost


async def test_timeout_begins_anew_with_each_yield(driver: str) -> None:
    """Requests that come one by one, together much later than the time-out of each."""

    async def handler(client: Client) -> Requests:
        try:
            while True:
                request = yield 0.25
                await client.send_packet(request)
        except TimeoutError:
            await client.send_packet("timeout")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        for _ in range(20):
            assert await peer.ask(b"a") == b"a"
            await sleep(0.02)
        assert await peer.line() == b"timeout"


async def test_timeouts_of_changing_length_are_each_honoured(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        timeout: float | None = 30.0
        while True:
            try:
                request = yield timeout
            except TimeoutError:
                await client.send_packet(f"timeout {timeout}")
                timeout = None
            else:
                timeout = None if request == "None" else float(request)
                await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        for _ in range(3):
            assert await peer.ask(b"20.0") == b"20.0"
            assert await peer.ask(b"0.01") == b"0.01"
            assert await peer.line() == b"timeout 0.01"
            assert await peer.ask(b"0.02") == b"0.02"
            assert await peer.ask(b"None") == b"None"
            await sleep(0.04)  # the timer of a past yield must not fire into this one
            assert await peer.ask(b"0") == b"0"
            assert await peer.line() == b"timeout 0.0"


async def test_timeout_is_not_running_while_the_handler_is_busy(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield 0.03
            await sleep(0.06)
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\nc\n")
        assert await peer.lines(3) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("yielded", "expected"),
    [
        (-1, ValueError),
        (-0.5, ValueError),
        (math.nan, ValueError),
        (-math.inf, ValueError),
        (RecvParams(timeout=-1), ValueError),
        (RecvParams(timeout=math.nan), ValueError),
        ("1", TypeError),
        (object(), TypeError),
        (RecvParams, TypeError),
    ],
)
async def test_what_must_not_be_yielded_raises_at_the_yield_and_costs_no_request(
    driver: str, yielded: Any, expected: type[Exception]
) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            for _ in range(2):
                try:
                    yield yielded
                except expected as exc:
                    await client.send_packet(type(exc).__name__)
            request = yield None
            await client.send_packet(request)

    name = expected.__name__.encode()
    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(8) == [name, name, b"a", name, name, b"b", name, name]
        assert await peer.ask(b"c") == b"c"


async def test_handler_that_keeps_on_yielding_nonsense_lets_others_run(driver: str) -> None:
    give_up = False

    async def handler(client: Client) -> Requests:
        while not give_up:
            try:
                yield "nonsense"  # type: ignore[misc]
            except TypeError:
                pass
        request = yield None
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        await turns_of_the_loop(100)
        give_up = True
        assert await peer.lines(1) == [b"a"]


async def test_ancillary_data_without_a_bufsize_is_refused_at_the_yield(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        try:
            request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(lambda _: None))
        except UnsupportedOperation:
            await client.send_packet("unsupported")
        request = yield None
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"unsupported"
        assert await peer.ask(b"b") == b"b"


async def test_ancillary_data_on_tcp_is_refused_at_the_yield_and_loses_no_request(driver: str) -> None:
    called: list[object] = []

    async def handler(client: Client) -> Requests:
        await client.send_packet("hello")
        while True:
            try:
                request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(called.append))
            except UnsupportedOperation:
                request = yield None
                await client.send_packet(f"unsupported {request}")
            else:
                await client.send_packet(request)  # it was there already

    async with serving(handler, driver, ancillary_bufsize=1024) as server:
        peer = await server.connect()
        assert await peer.line() == b"hello"
        assert await peer.ask(b"a") == b"unsupported a"
        await peer.send(b"b\nc\n")
        assert await peer.lines(2) == [b"unsupported b", b"c"]
    assert called == []


async def test_ancillary_data_is_not_asked_for_while_there_are_bytes_from_before_the_handler(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            try:
                request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(lambda _: None))
            except UnsupportedOperation:
                request = yield None
                await client.send_packet(f"unsupported {request}")
            else:
                await client.send_packet(request)

    async with serving(handler, driver, ancillary_bufsize=1024) as server:
        peer = server.connect_and_send(b"a\nb\n")
        answers = await peer.lines(2)
    assert answers in ([b"a", b"b"], [b"unsupported a", b"b"])  # some loops read before there is a task


async def test_parse_error_is_raised_at_the_yield_and_the_connection_goes_on(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            try:
                request = yield None
            except StreamProtocolParseError as exc:
                kind = "error" if isinstance(exc.error, IncrementalDeserializeError) else "wrong error"
                await client.send_packet(f"{kind} {bytes(exc.remaining_data)!r}")
            else:
                await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"\xff") == b"error b''"
        assert await peer.ask(b"a") == b"a"
        await peer.send(b"b\n\xfe\nc\n\xfd\n\xfc\nd\ne")
        assert await peer.lines(6) == [
            b"b",
            rb"error b'c\n\xfd\n\xfc\nd\ne'",
            b"c",
            rb"error b'\xfc\nd\ne'",
            rb"error b'd\ne'",
            b"d",
        ]
        assert await peer.ask(b"f") == b"ef"


async def test_invalid_packet_that_is_not_caught_ends_the_connection_and_is_one_line(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"\xff\nnever\n")
        assert await peer.gone()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "invalid packet" in record.getMessage()
    assert record.exc_info is None


async def test_parse_error_while_a_timeout_runs_ends_that_wait(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = ""
        while True:
            try:
                request = yield 0.05
            except StreamProtocolParseError:
                request = "bad"
            except TimeoutError:
                return
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"\xff\na\n\xff\n")
        assert await peer.lines(3) == [b"bad", b"a", b"bad"]
        assert await peer.rest() == b""


@pytest.mark.parametrize("is_complete", [True, False])
async def test_frame_over_the_limit_is_refused_and_the_next_one_is_read(driver: str, is_complete: bool) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            try:
                request = yield None
            except StreamProtocolParseError as exc:
                if isinstance(exc.error, LimitOverrunError):
                    await client.send_packet("overrun")
            else:
                await client.send_packet(request)

    protocol = StreamProtocol(StringLineSerializer(limit=100))
    async with serving(handler, driver, protocol=protocol) as server:
        peer = await server.connect()
        assert await peer.ask(b"x" * 100) == b"x" * 100
        if is_complete:
            await peer.send(b"a\n" + b"x" * 101 + b"\nb\n")
            assert await peer.lines(3) == [b"a", b"overrun", b"b"]
        else:
            await peer.send(b"x" * 150)
            assert await peer.line() == b"overrun"
            await peer.send(b"x\n")
        assert await peer.ask(b"c") == b"c"


async def test_protocol_crash_is_raised_as_runtime_error_at_the_yield(driver: str) -> None:
    class Crashing(StringLineSerializer):
        def deserialize(self, data: bytes) -> str:
            if data == b"crash":
                raise ZeroDivisionError
            return super().deserialize(data)

    async def handler(client: Client) -> Requests:
        while True:
            try:
                request = yield None
            except RuntimeError as exc:
                request = type(exc.__cause__).__name__
            await client.send_packet(request)

    async with serving(handler, driver, protocol=StreamProtocol(Crashing())) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        assert await peer.ask(b"crash") == b"ZeroDivisionError"
        assert await peer.ask(b"b") == b"b"


async def test_requests_are_parsed_only_when_they_are_asked_for(driver: str) -> None:
    """A request after which the handler returns is the last one that can be refused."""

    async def handler(client: Client) -> Requests:
        request = yield None
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n\xff\n\xff\n")
        assert await peer.line() == b"a"
        assert await peer.gone()


async def test_handler_that_keeps_on_yielding_nonsense_is_cancelled_with_its_server(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            with contextlib.suppress(ValueError):
                yield -1.0

    async with serving(handler, driver) as server:
        await server.connect()
        await sleep(0.01)
    # The end of the context cancels the handler.
