"""A handler runs in one task and one context, whatever takes it from one ``yield`` to the next."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from tests.support.background import new_event, sleep, spawn
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import turns_of_the_loop

from easynetwork.lowlevel.api_async.backend.abc import TaskGroup, TaskInfo
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend

EVERY_BACKEND = True

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def test_current_task_is_the_same_before_and_after_every_yield(driver: str) -> None:
    tasks: list[TaskInfo] = []

    async def handler(client: Client) -> Requests:
        try:
            tasks.append(client.backend().get_current_task())
            while True:
                request = yield None
                tasks.append(client.backend().get_current_task())
                if request == "suspend":
                    await sleep(0.001)
                elif request == "sleep0":
                    await client.backend().coro_yield()
                tasks.append(client.backend().get_current_task())
                await client.send_packet(request)
        finally:
            tasks.append(client.backend().get_current_task())

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nsuspend\nb\nsleep0\nc\n")
        assert await peer.lines(5) == [b"a", b"suspend", b"b", b"sleep0", b"c"]
        assert await peer.ask(b"alone") == b"alone"
        peer.half_close()
        assert await peer.rest() == b""
    assert len(tasks) == 14
    assert set(tasks) == {tasks[0]}


async def test_each_connection_has_a_task_of_its_own(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            _ = yield None
            await client.send_packet(str(client.backend().get_current_task().id))

    async with serving(handler, driver) as server:
        one, other = await server.connect(), await server.connect()
        names = [await one.ask(b""), await other.ask(b""), await one.ask(b""), await other.ask(b"")]
    assert names[0] == names[2] != names[1] == names[3]


async def test_context_variables_set_before_a_yield_are_seen_after_it(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        await client.send_packet(VARIABLE.get())
        VARIABLE.set("first")
        while True:
            request = yield None
            seen = VARIABLE.get()
            VARIABLE.set(request)
            if request == "suspend":
                await sleep(0.001)
            await client.send_packet(f"{seen} {VARIABLE.get()}")

    async with serving(handler, driver) as server:
        for _ in range(2):  # the second connection does not see what the first one has set
            peer = await server.connect()
            await peer.send(b"a\nsuspend\n")
            assert await peer.lines(3) == [b"unset", b"first a", b"a suspend"]
            assert await peer.ask(b"b") == b"suspend b"


async def test_task_may_shield_the_handler_from_cancellation(driver: str) -> None:
    class Shields:
        """The part of a task group that a server needs."""

        def __init__(self, group: TaskGroup) -> None:
            self.group = group

        def start_soon(self, coro_func: Callable[..., Any], /, *args: Any, name: str | None = None) -> None:
            self.group.start_soon(self.run, coro_func, args, name=name)

        async def run(self, coro_func: Callable[..., Any], args: tuple[Any, ...]) -> None:
            await backend.ignore_cancellation(coro_func(*args))

    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            if request == "suspend":
                await sleep(0.001)
            await client.send_packet(request)

    backend = ensure_backend(None)
    async with backend.create_task_group() as group, serving(handler, driver, task_group=Shields(group)) as server:
        peer = await server.connect()
        await peer.send(b"a\nsuspend\nb\n")
        assert await peer.lines(3) == [b"a", b"suspend", b"b"]
        with backend.move_on_after(0):
            await backend.coro_yield()
        assert await peer.ask(b"c") == b"c"
        peer.half_close()
        assert await peer.rest() == b""


async def test_token_of_a_context_variable_can_be_reset_after_a_yield(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        token = VARIABLE.set("inside")
        request = yield None
        VARIABLE.reset(token)
        await client.send_packet(f"{request} {VARIABLE.get()}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a unset"


async def test_handler_that_suspends_before_its_first_yield_gets_what_came_meanwhile(driver: str) -> None:
    go_on = new_event()

    async def handler(client: Client) -> Requests:
        await client.send_packet("hello")
        await go_on.wait()
        while True:
            request = yield None
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.line() == b"hello"
        await peer.send(b"a\nb\n")
        await turns_of_the_loop(5)
        go_on.set()
        assert await peer.lines(2) == [b"a", b"b"]


async def test_packets_that_another_task_sends_are_not_held_back_by_a_busy_handler(driver: str) -> None:
    async def push(client: Client) -> None:
        for i in range(3):
            await client.send_packet(f"push {i}")
            await sleep(0.001)

    async def handler(client: Client) -> Requests:
        request = yield None
        task = spawn(push(client))
        request = yield None
        await task.result()
        await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"begin\n")
        assert await peer.lines(3) == [b"push 0", b"push 1", b"push 2"]
        assert await peer.ask(b"end") == b"end"
