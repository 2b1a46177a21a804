"""Handlers on asyncio, in whose callbacks they run: what they may use of it, and what becomes of the loop."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import turns_of_the_loop

from easynetwork.lowlevel._core.requirements import STEPS_PER_TURN
from easynetwork.lowlevel.api_async.backend._asyncio.stream.transport import AsyncioStreamTransport
from easynetwork.lowlevel.api_async.backend._asyncio.stream.watermarks import HIGH_WATER

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def test_suspending_and_other_handlers_in_one_burst_keep_the_order(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            match int(request) % 5:
                case 1:
                    await asyncio.sleep(0)
                case 2:
                    await asyncio.sleep(0.0001)
                case 3:
                    await asyncio.create_task(asyncio.sleep(0))
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"".join(b"%d\n" % i for i in range(300)))
        assert await peer.lines(300) == [b"%d" % i for i in range(300)]


async def test_timeout_inside_a_request_interrupts_what_is_awaited(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            _ = yield None
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.get_running_loop().create_future()
            except TimeoutError:
                await client.send_packet("timeout")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"timeout", b"timeout"]
        assert await peer.ask(b"c") == b"timeout"


async def test_timeout_opened_before_a_yield_interrupts_the_yield(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        while True:
            try:
                async with asyncio.timeout(0.02):
                    while True:
                        request = yield None
                        await client.send_packet(request)
            except TimeoutError:
                task = asyncio.current_task()
                assert task is not None
                await client.send_packet(f"timeout {task.cancelling()}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"begin\na\n")
        assert await peer.lines(3) == [b"a", b"timeout 0", b"timeout 0"]
        await peer.send(b"b\n")
        while (line := await peer.line()) != b"b":
            assert line == b"timeout 0"


async def test_timeout_opened_and_left_across_yields_interrupts_nothing(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        async with asyncio.timeout(0.02):
            request = yield None
            await client.send_packet(request)
        request = yield None
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        await asyncio.sleep(0.05)
        assert await peer.ask(b"b") == b"b"


async def test_task_group_inside_a_request(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            async with asyncio.TaskGroup() as group:
                children = [group.create_task(asyncio.sleep(0, f"{request}{i}")) for i in range(3)]
            await client.send_packet(" ".join(child.result() for child in children))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a0 a1 a2", b"b0 b1 b2"]


async def test_task_group_opened_before_a_yield_lives_until_after_it(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                request = yield None
                group.create_task(client.send_packet(request))
            go_on = asyncio.Event()
            group.create_task(go_on.wait())
            request = yield None
            go_on.set()
        await client.send_packet(f"joined {request}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\nc\n")
        assert await peer.lines(3) == [b"a", b"b", b"c"]
        assert await peer.ask(b"d") == b"joined d"
        assert await peer.rest() == b""


async def test_failing_child_of_a_task_group_interrupts_the_yield(driver: str) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.001)
        raise LookupError("the child has failed")

    async def handler(client: Client) -> Requests:
        request = yield None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                request = yield None
        except* LookupError:
            await client.send_packet("child failed")
        request = yield None
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"child failed"
        assert await peer.ask(b"b") == b"b"


async def test_await_of_what_cannot_be_awaited_raises_in_the_handler(driver: str) -> None:
    class Wrong:
        def __await__(self):  # type: ignore[no-untyped-def]  # wrong on purpose
            yield "no future"

    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            try:
                await Wrong()
            except RuntimeError as exc:
                await client.send_packet(f"{request} {'no future' in str(exc)}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a True"
        assert await peer.ask(b"b") == b"b True"


async def test_future_already_done_needs_no_suspension(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            future = asyncio.get_running_loop().create_future()
            future.set_result(request)
            await client.send_packet(await future)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a", b"b"]


@pytest.mark.parametrize("is_suspended_before", [False, True])
async def test_handler_runs_in_debug_mode_of_the_loop(driver: str, is_suspended_before: bool) -> None:
    asyncio.get_running_loop().set_debug(True)

    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            if is_suspended_before:
                await asyncio.sleep(0)
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a", b"b"]


async def test_reading_pauses_while_a_handler_is_suspended_and_resumes_after_it() -> None:
    go_on = asyncio.Event()
    transports: list[AsyncioStreamTransport] = []

    async def handler(client: Client) -> Requests:
        assert isinstance(client._transport, AsyncioStreamTransport)
        transports.append(client._transport)
        count = 0
        while True:
            request = yield None
            if request == "count":
                await client.send_packet(f"{count}")
            elif not count:
                await go_on.wait()
            count += 1

    async with serving(handler) as server:
        peer = await server.connect()
        line = b"x" * 99 + b"\n"
        sent = await peer.send_until_it_blocks(line)
        callbacks = transports[0]._stream
        assert not callbacks.transport.is_reading()
        assert HIGH_WATER < callbacks.received.nbytes < HIGH_WATER + (1 << 20)  # and one read of the loop
        go_on.set()
        await peer.send(line[sent % len(line) :])
        assert await peer.ask(b"count") == b"%d" % (sent // len(line) + 1)
        assert callbacks.transport.is_reading()


async def test_forgotten_turn_of_a_closed_connection_does_nothing() -> None:
    """A connection that is closed while it waits for its turn leaves a callback, which does nothing."""

    async def handler(client: Client) -> Requests:
        count = 0
        while True:
            yield None
            count += 1
            if count == STEPS_PER_TURN:
                asyncio.get_running_loop().call_soon(client._transport._stream.abort)  # type: ignore[attr-defined]  # of asyncio

    async with serving(handler) as server:
        peer = await server.connect()
        await peer.send(b"a\n" * 1000)
        assert await peer.gone()
        await turns_of_the_loop(5)
