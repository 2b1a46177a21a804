"""Cancelling the task of a connection hits the handler where it is: at its ``yield``, or in what it awaits.

Trio cancels scopes only, which the tests of `yield` and of endings do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.support.lowlevel_stream_servers import Client, Requests, serving
from tests.support.peers import turns_of_the_loop


def this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.mark.parametrize("pause", [asyncio.sleep, lambda _: asyncio.get_running_loop().create_future()])
async def test_handler_that_cancels_its_task_is_cancelled_at_its_next_await(
    driver: str, pause: Callable[[float], asyncio.Future[None]]
) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            this_task().cancel("by myself")
            try:
                await pause(0)
            except asyncio.CancelledError as exc:
                this_task().uncancel()
                await client.send_packet(f"{request} {exc}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a by myself", b"b by myself"]
        assert await peer.ask(b"c") == b"c by myself"


async def test_handler_that_cancels_its_task_is_cancelled_at_its_next_waiting_yield(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        while True:
            this_task().cancel()
            try:
                request = yield None
            except asyncio.CancelledError:
                this_task().uncancel()
                await client.send_packet(f"{request} cancelled")
                request = yield None

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a cancelled"
        assert await peer.ask(b"b") == b"b cancelled"
        peer.close()


async def test_handler_that_cancels_its_task_and_lets_it_happen_ends_this_connection_only(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            if request == "cancel":
                this_task().cancel()
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        quiet, peer = await server.connect(), await server.connect()
        assert await quiet.ask(b"a") == b"a"
        await peer.send(b"cancel\n")
        assert await peer.gone()
        assert await quiet.ask(b"b") == b"b"
    assert caplog.records == []


async def test_handler_that_cancels_its_task_and_returns_is_closed(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        _ = yield None
        this_task().cancel()

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        assert await peer.gone()


async def test_handler_that_cancels_its_task_and_raises_is_logged(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        _ = yield None
        this_task().cancel()
        raise LookupError("after the cancellation")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        assert await peer.gone()
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [LookupError]


async def test_cancellation_that_was_taken_back_before_any_wait_leaves_no_trace(driver: str) -> None:
    """As in any task: ``uncancel()`` alone does not revoke a request on Python before 3.13."""

    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            this_task().cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                this_task().uncancel()
            await asyncio.sleep(0)
            await client.send_packet(f"{request} {this_task().cancelling()}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a 0", b"b 0"]


async def test_cancellation_while_parked_is_raised_at_the_yield(driver: str) -> None:
    tasks: list[asyncio.Task[object]] = []

    async def handler(client: Client) -> Requests:
        tasks.append(this_task())
        while True:
            try:
                request = yield None
            except asyncio.CancelledError as exc:
                this_task().uncancel()
                request = f"cancelled {exc}"
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        tasks[0].cancel("from outside")
        assert await peer.line() == b"cancelled from outside"
        assert await peer.ask(b"b") == b"b"
        tasks[0].cancel("again")
        assert await peer.line() == b"cancelled again"
        assert await peer.ask(b"c") == b"c"
        peer.close()  # or the handler would outlive the server as well


async def test_bytes_that_come_while_a_cancelled_handler_cleans_up_wait_for_its_next_yield(driver: str) -> None:
    tasks: list[asyncio.Task[object]] = []
    is_cancelled, go_on = asyncio.Event(), asyncio.Event()

    async def handler(client: Client) -> Requests:
        tasks.append(this_task())
        await client.send_packet((yield None))
        try:
            yield None
        except asyncio.CancelledError:
            this_task().uncancel()
            is_cancelled.set()
            await go_on.wait()
        while True:
            await client.send_packet(f"after {(yield None)}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        tasks[0].cancel()
        await is_cancelled.wait()
        await peer.send(b"b\nc\n")
        await asyncio.sleep(0.02)
        go_on.set()
        assert await peer.lines(2) == [b"after b", b"after c"]


async def test_cancellation_that_is_taken_back_before_it_is_delivered_ends_no_wait_but_by_itself(driver: str) -> None:
    tasks: list[asyncio.Task[object]] = []

    async def handler(client: Client) -> Requests:
        tasks.append(this_task())
        try:
            await client.send_packet((yield None))
            request = yield None
        except asyncio.CancelledError:
            request = "cancelled"
        await client.send_packet(request)
        await client.send_packet((yield None))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        tasks[0].cancel()
        tasks[0].uncancel()
        assert await peer.line() == b"cancelled"  # as by any future that a task waits for
        assert await peer.ask(b"b") == b"b"


@pytest.mark.parametrize("first", ["cancellation", "timeout"])
async def test_no_timeout_comes_after_a_cancellation_of_the_same_turn(first: str, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        seen = [(yield None)]
        task = this_task()
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_later(0.02 if first == "timeout" else 0.012, task.cancel))
        loop.call_later(0.01, time.sleep, 0.03)  # both are late, then
        try:
            yield 0.015
        except (asyncio.CancelledError, TimeoutError) as exc:
            seen.append(type(exc).__name__)
            task.uncancel()
        for _ in range(3):
            try:
                await asyncio.sleep(0)
            except (asyncio.CancelledError, TimeoutError) as exc:
                seen.append(type(exc).__name__)
        await client.send_packet(" ".join(seen))
        await client.send_packet((yield None))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        seen = await peer.ask(b"a")
        assert seen == b"a CancelledError" or (first == "timeout" and seen == b"a TimeoutError CancelledError")
        assert await peer.ask(b"b") == b"b"


async def test_cancellation_that_meets_a_request_in_the_same_turn_loses_neither(driver: str) -> None:
    tasks: list[asyncio.Task[object]] = []

    async def handler(client: Client) -> Requests:
        tasks.append(this_task())
        while True:
            try:
                request = yield None
            except asyncio.CancelledError:
                this_task().uncancel()
                request = "cancelled"
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a"
        for _ in range(10):
            peer.sock.send(b"b\n")  # has arrived before the loop looks
            tasks[0].cancel()
            assert set(await peer.lines(2)) == {b"b", b"cancelled"}
        peer.close()


async def test_cancellation_while_a_handler_waits_cancels_what_it_awaits(driver: str) -> None:
    tasks: list[asyncio.Task[object]] = []
    children: list[asyncio.Task[object]] = []

    async def handler(client: Client) -> Requests:
        tasks.append(this_task())
        while True:
            request = yield None
            child = asyncio.create_task(asyncio.Event().wait())
            children.append(child)
            await client.send_packet("waiting")
            try:
                await child
            except asyncio.CancelledError as exc:
                this_task().uncancel()
                await client.send_packet(f"{request} {exc} {child.cancelled()}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"waiting"
        await turns_of_the_loop(3)
        tasks[0].cancel("stop")
        assert await peer.line() == b"a stop True"
        peer.close()


@pytest.mark.parametrize("turns", [0, 1, 2])
@pytest.mark.parametrize("kind", ["future", "sleep0", "child"])
async def test_cancellation_about_when_a_handler_suspends_reaches_its_await(driver: str, kind: str, turns: int) -> None:
    """Also between the callback that stepped the handler and the task that carries it on."""
    futures: list[asyncio.Future[object]] = []

    async def handler(client: Client) -> Requests:
        task, loop = this_task(), asyncio.get_running_loop()

        def cancel_after(turns: int) -> None:
            if turns:
                loop.call_soon(cancel_after, turns - 1)
            else:
                task.cancel("meanwhile")

        while True:
            request = yield None
            loop.call_soon(cancel_after, turns)
            try:
                if kind == "sleep0":
                    for _ in range(5):
                        await asyncio.sleep(0)
                else:
                    future: asyncio.Future[object] = loop.create_future()
                    if kind == "child":
                        future = asyncio.create_task(asyncio.Event().wait())
                    futures.append(future)
                    await future
            except asyncio.CancelledError as exc:
                task.uncancel()
                await client.send_packet(f"{request} {exc}")

    async with serving(handler, driver) as server:
        peer = await server.connect()
        assert await peer.ask(b"a") == b"a meanwhile"
        await peer.send(b"b\nc\n")
        assert await peer.lines(2) == [b"b meanwhile", b"c meanwhile"]
    assert all(future.cancelled() for future in futures)


async def test_cancellation_of_a_handler_whose_future_is_done_already_is_still_delivered(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        task, loop = this_task(), asyncio.get_running_loop()
        while True:
            request = yield None
            future: asyncio.Future[None] = loop.create_future()
            loop.call_soon(future.set_result, None)
            loop.call_soon(task.cancel)
            try:
                await future
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                task.uncancel()
                await client.send_packet(request)

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\nb\n")
        assert await peer.lines(2) == [b"a", b"b"]


async def test_cancellation_between_the_end_of_a_handler_and_its_task_is_not_lost(driver: str) -> None:
    """The handler has returned within a callback, and is cancelled before its task knows: the close is abrupt."""
    closed: list[bool] = []

    async def handler(client: Client) -> Requests:
        _ = yield None
        task = this_task()
        asyncio.get_running_loop().call_soon(task.cancel)
        task.add_done_callback(lambda _: closed.append(client.is_closing()))

    async with serving(handler, driver) as server:
        peer = await server.connect()
        await peer.send(b"a\n")
        assert await peer.gone()
        await turns_of_the_loop(5)
    assert closed == [True]


async def test_cancelled_error_that_a_handler_raises_by_itself_ends_this_connection_only(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            if request == "raise":
                raise asyncio.CancelledError
            await client.send_packet(request)

    async with serving(handler, driver) as server:
        quiet, peer = await server.connect(), await server.connect()
        await peer.send(b"raise\n")
        assert await peer.gone()
        assert await quiet.ask(b"a") == b"a"
