"""The asynchronous backends: scopes, groups, tasks, locks, threads, portals, futures, connections."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import math
import socket
import threading
from typing import Any

from benchmarks.differential.kit import folder, refuse_port, until
from benchmarks.differential.table import LOOPS, program
from benchmarks.differential.transcript import Transcript, describe_error
from easynetwork.lowlevel.api_async.backend.abc import (
    AsyncBackend,
    CancelScope,
    ICondition,
    IEvent,
    ILock,
    Task,
    TaskGroup,
    TaskInfo,
    ThreadsPortal,
)
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend, new_builtin_backend
from easynetwork.lowlevel.futures import AsyncExecutor, unwrap_future

ERRNO = "an `OSError` that the library creates"
ASYNCIO = ("asyncio", "uvloop")


@program(explained={"new None": "wrong arguments", "new 3": "wrong arguments"})
def choosing_a_backend(t: Transcript) -> None:
    """new_builtin_backend and ensure_backend outside of an event loop"""
    for name in ("asyncio", "trio", "curio", "", None, 3):
        made = t.make(f"new {name!r}", new_builtin_backend, name)
        if made is not None:
            t.say("repr", repr(made))
    for value in ("asyncio", "nothing", None, 3, AsyncBackend):
        t.make(f"ensure {value!r}", ensure_backend, value)
    backend = new_builtin_backend("asyncio")
    t.say("itself", ensure_backend(backend) is backend)
    t.say("equal", new_builtin_backend("asyncio") == backend)
    for cls in (AsyncBackend, CancelScope, Task, TaskGroup, ThreadsPortal):
        t.make(f"{cls.__name__} is abstract", cls)

    async def work(*args: Any) -> Any:
        return (args, type(ensure_backend(None)).__name__)

    async def fail() -> None:
        raise KeyError

    for name in ("asyncio", "trio"):
        backend = new_builtin_backend(name)
        t.call(f"{name} bootstrap", backend.bootstrap, work, 1, 2)
        t.call(f"{name} bootstrap fails", backend.bootstrap, fail)
        t.call(f"{name} unknown option", backend.bootstrap, work, runner_options={"nothing": 1})
        t.call(f"{name} not a function", backend.bootstrap, 3)
        t.call(f"{name} not async", backend.bootstrap, lambda: 3)


@program(*LOOPS)
async def scopes(t: Transcript, backend: Any) -> None:
    """Cancel scopes: cancelling, deadlines, misuse"""
    with backend.open_cancel_scope() as scope:
        t.say("fresh", (scope.cancel_called(), scope.cancelled_caught(), scope.when()))
        scope.cancel()
        t.say("called", scope.cancel_called())
        await backend.coro_yield()
        t.say("not reached")
    t.say("caught", scope.cancelled_caught())
    with backend.open_cancel_scope() as scope:
        scope.cancel()
    t.say("not noticed", (scope.cancel_called(), scope.cancelled_caught()))
    await backend.coro_yield()
    early = backend.open_cancel_scope()
    early.cancel()
    with early:
        t.say("runs to the first checkpoint")
        await backend.coro_yield()
        t.say("not reached")
    t.say("cancelled before", early.cancelled_caught())
    with backend.move_on_after(0.01) as scope:
        await backend.sleep_forever()
    t.say("moved on", scope.cancelled_caught())
    with backend.move_on_after(0) as scope:
        t.say("zero starts")
        await backend.sleep(1)
    t.say("zero", scope.cancelled_caught())
    with backend.move_on_after(5) as scope:
        scope.reschedule(backend.current_time() - 1)
        await backend.sleep(1)
    t.say("rescheduled", scope.cancelled_caught())
    with backend.move_on_after(5) as scope:
        del scope.deadline
        t.say("no deadline", scope.deadline)
        scope.deadline = backend.current_time() + 3
        t.say("deadline", scope.when() == scope.deadline)
    with t.errors("time-out"):
        with backend.timeout(0.01):
            await backend.sleep_forever()
    with t.errors("time-out in the past"):
        with backend.timeout_at(backend.current_time() - 1):
            await backend.sleep_forever()
    with t.errors("error in a time-out"):
        with backend.timeout(0):
            raise KeyError
    for name in ("open_cancel_scope", "timeout", "move_on_after", "timeout_at", "move_on_at"):
        make = getattr(backend, name)
        with t.errors(f"{name} nan"):
            with make(deadline=math.nan) if name == "open_cancel_scope" else make(math.nan):
                t.say("entered")
        with t.errors(f"{name} inf"):
            with make(deadline=math.inf) if name == "open_cancel_scope" else make(math.inf):
                t.say("entered")
    for value in (-1, -math.inf):
        with t.errors(f"negative {value}"):
            with backend.timeout(value):
                await backend.sleep(1)
    with backend.open_cancel_scope() as scope:
        t.call("reschedule nan", scope.reschedule, math.nan)


@program(*LOOPS)
async def nested_scopes(t: Transcript, backend: Any) -> None:
    """Scopes in scopes, errors during a cancellation, cancellations that are swallowed"""
    cancelled = backend.get_cancelled_exc_class()
    t.say("class", cancelled)
    with backend.open_cancel_scope() as outer:
        with backend.open_cancel_scope() as inner:
            outer.cancel()
            await backend.sleep(1)
    t.say("outer", (outer.cancelled_caught(), inner.cancelled_caught()))
    with backend.open_cancel_scope() as outer:
        with backend.open_cancel_scope() as inner:
            inner.cancel()
            outer.cancel()
            await backend.sleep(1)
    t.say("both", (outer.cancelled_caught(), inner.cancelled_caught()))
    with t.errors("error while cancelled"):
        with backend.open_cancel_scope() as scope:
            scope.cancel()
            try:
                await backend.sleep(1)
            finally:
                raise KeyError
    t.say("caught", scope.cancelled_caught())
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        for attempt in range(3):
            try:
                await backend.sleep(0.01)
                t.say(f"attempt {attempt}", "went on")
            except cancelled:
                t.say(f"attempt {attempt}", "cancelled again")
    t.say("swallowed", scope.cancelled_caught())
    with backend.open_cancel_scope() as scope:
        scope.cancel()
        t.say("shielded", await backend.ignore_cancellation(shielded(backend)))
        await backend.cancel_shielded_coro_yield()
        t.say("after the shield")
        await backend.coro_yield()
        t.say("not reached")
    t.say("caught", scope.cancelled_caught())
    with t.errors("shielded error"):
        await backend.ignore_cancellation(failing(backend))
    with backend.open_cancel_scope() as inner:
        with t.errors("a group of cancellations"):
            inner.cancel()
            try:
                await backend.sleep(1)
            except cancelled as error:
                t.say("the cancellation", type(error))
                raise BaseExceptionGroup("both", [error, KeyError()]) from None
    t.say("caught", inner.cancelled_caught())


async def shielded(backend: Any) -> str:
    await backend.sleep(0.01)
    return "result"


async def failing(backend: Any) -> None:
    await backend.sleep(0)
    raise KeyError


@program(*ASYNCIO)
async def scope_misuse(t: Transcript, backend: Any) -> None:
    """Scopes entered twice, left elsewhere or out of order (asyncio)"""
    scope = backend.open_cancel_scope()
    with t.errors("left before it is entered"):
        scope.__exit__(None, None, None)
    with scope:
        with t.errors("entered twice"):
            scope.__enter__()
    with t.errors("entered again"):
        scope.__enter__()
    outer, inner = backend.open_cancel_scope(), backend.open_cancel_scope()
    outer.__enter__()
    inner.__enter__()
    with t.errors("out of order"):
        outer.__exit__(None, None, None)
    with t.errors("inner"):
        inner.__exit__(None, None, None)
    with t.errors("outer"):
        outer.__exit__(None, None, None)
    elsewhere = backend.open_cancel_scope()

    async def enter() -> None:
        elsewhere.__enter__()

    await asyncio.create_task(enter())
    with t.errors("left by another task"):
        elsewhere.__exit__(None, None, None)


@program(*ASYNCIO)
async def cancellations_of_asyncio(t: Transcript, backend: Any) -> None:
    """Task.cancel() together with scopes and shields"""

    async def observe(name: str, job: Any, *, delay: float = 0.02, message: str | None = None, times: int = 1) -> None:
        task = asyncio.create_task(job())
        await asyncio.sleep(delay)
        for _ in range(times):
            task.cancel(message)
        await asyncio.wait([task])
        if task.cancelled():
            try:
                task.result()
            except asyncio.CancelledError as error:
                t.say(name, ("cancelled", error.args, task.cancelling()))
        else:
            error = task.exception()
            t.say(name, (describe_error(error) if error else task.result(), task.cancelling()))

    async def shield() -> Any:
        return await backend.ignore_cancellation(asyncio.sleep(0.1, 42))

    async def shield_then_sleep() -> Any:
        await backend.ignore_cancellation(asyncio.sleep(0.1, 42))
        await asyncio.sleep(0)
        return "slept"

    async def shield_twice() -> Any:
        await backend.ignore_cancellation(asyncio.sleep(0.1, 42))
        return await backend.ignore_cancellation(asyncio.sleep(0.01, 43))

    async def thread_call() -> Any:
        import time

        return await backend.run_in_thread(time.sleep, 0.1)

    async def in_scope() -> Any:
        with backend.open_cancel_scope() as scope:
            await asyncio.sleep(5)
        return scope.cancelled_caught()

    async def in_timeout() -> Any:
        with backend.timeout(5):
            await asyncio.sleep(5)

    async def shielded_yield() -> Any:
        for _ in range(1000):
            await backend.cancel_shielded_coro_yield()
        return "done"

    async def in_group() -> Any:
        async with backend.create_task_group() as group:
            group.start_soon(asyncio.sleep, 5)
            await asyncio.sleep(5)

    async def own_cancellation() -> Any:
        await backend.ignore_cancellation(raise_cancelled())

    async def swallow() -> Any:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            return ("swallowed", await asyncio.sleep(0.01, "and went on"))

    await observe("shield", shield)
    await observe("shield then sleep", shield_then_sleep, message="why")
    await observe("shield twice", shield_twice, times=2)
    await observe("thread", thread_call)
    await observe("in a scope", in_scope, message="why")
    await observe("in a time-out", in_timeout, message="why")
    await observe("shielded yield", shielded_yield, delay=0)
    await observe("in a group", in_group, message="why")
    await observe("own cancellation", own_cancellation)
    await observe("swallowed", swallow)


async def raise_cancelled() -> None:
    await asyncio.sleep(0.05)
    raise asyncio.CancelledError("own")


@program(*LOOPS, explained={"not a coroutine function": "wrong arguments"})
async def groups(t: Transcript, backend: Any) -> None:
    """Task groups: failures, cancellation, use before and after"""
    log: list[str] = []

    async def work(name: str, delay: float = 0.0, error: BaseException | None = None) -> str:
        try:
            await backend.sleep(delay)
        except backend.get_cancelled_exc_class():
            log.append(f"{name} cancelled")
            raise
        log.append(f"{name} done")
        if error is not None:
            raise error
        return name

    async with backend.create_task_group() as group:
        t.call("start_soon", group.start_soon, work, "a")
        task = await group.start(work, "b", name="named")
        t.say("task", task.info.name)
    t.say("after", (sorted(log), task.done(), task.cancelled()))
    await t.wait("join", task.join())
    await t.wait("wait", task.wait())
    t.call("cancel done", task.cancel)
    t.call("start_soon after", group.start_soon, work, "c")
    await t.wait("start after", group.start(work, "c"))
    t.call("start_soon before", backend.create_task_group().start_soon, work, "c")
    log.clear()
    with t.errors("child fails"):
        async with backend.create_task_group() as group:
            group.start_soon(work, "slow", 5)
            group.start_soon(work, "bad", 0.01, KeyError())
            await backend.sleep(5)
    t.say("log", sorted(log))
    log.clear()
    with t.errors("body fails"):
        async with backend.create_task_group() as group:
            group.start_soon(work, "slow", 5)
            await backend.sleep(0.01)
            raise KeyError
    t.say("log", sorted(log))
    with t.errors("both fail"):
        async with backend.create_task_group() as group:
            group.start_soon(work, "bad", 0, ValueError())
            try:
                await backend.sleep(5)
            finally:
                raise KeyError
    with t.errors("nested"):
        async with backend.create_task_group() as group:

            async def nested() -> None:
                async with backend.create_task_group() as inner:
                    inner.start_soon(work, "bad", 0, ValueError())

            group.start_soon(nested)
    log.clear()
    with backend.move_on_after(0.02) as scope:
        async with backend.create_task_group() as group:
            group.start_soon(work, "slow", 5)
    t.say("cancelled around", (scope.cancelled_caught(), log))
    async with backend.create_task_group() as group:
        task = await group.start(work, "one", 5)
        task.cancel()
        await task.wait()
        t.say("one cancelled", task.cancelled())
        with t.errors("join a cancelled task"):
            try:
                await task.join()
            except backend.get_cancelled_exc_class() as error:
                t.say("join raises", type(error))
    with t.errors("not a coroutine function"):
        async with backend.create_task_group() as group:
            group.start_soon(lambda: 3)
    with t.errors("keyword"):
        async with backend.create_task_group() as group:
            group.start_soon(work, "x", delay=3)


@program(*LOOPS, explained={"join raises": "joining a failing task inside its own group"})
async def tasks(t: Transcript, backend: Any) -> None:
    """Task: joining, cancelling, info"""

    async def work(delay: float, error: BaseException | None = None) -> str:
        await backend.sleep(delay)
        if error is not None:
            raise error
        return "result"

    async with backend.create_task_group() as group:
        task = await group.start(work, 0.05)
        t.say("state", (task.done(), task.cancelled()))
        await t.wait("join", task.join())
        await t.wait("join_or_cancel", task.join_or_cancel())
        t.say("state", (task.done(), task.cancelled(), task.cancel()))
        task = await group.start(work, 5)
        with backend.move_on_after(0.02):
            await task.join()
        t.say("waiter cancelled", task.done())
        with backend.move_on_after(0.02) as scope:
            await task.join_or_cancel()
        t.say("waiter cancelled", (task.cancelled(), scope.cancelled_caught()))
        task = await group.start(work, 5)
        t.say("cancel", (task.cancel(), task.cancel()))
        await task.wait()
        t.say("cancelled", task.cancelled())
    with t.errors("failing task"):
        async with backend.create_task_group() as group:
            task = await group.start(work, 0.01, KeyError())
            try:
                await task.join()
            except KeyError:
                t.say("join raises", KeyError)
    await t.wait("join later", task.join())
    info = backend.get_current_task()
    t.say("info", (type(info.id), type(info.name), info == backend.get_current_task()))
    t.say("hash", hash(info) == hash(info.id))
    t.say("equal by id", TaskInfo(1, "a", None) == TaskInfo(1, "b", None))
    t.say("repr", repr(TaskInfo(1, "a", None)))


@program(*LOOPS)
async def gathering(t: Transcript, backend: Any) -> None:
    """gather: order, no arguments, the same argument twice, failures"""

    async def work(value: Any, delay: float = 0.0) -> Any:
        if isinstance(value, BaseException):
            raise value
        await backend.sleep(delay)
        return value

    await t.wait("order", backend.gather(work(1, 0.02), work(2)))
    await t.wait("nothing", backend.gather())
    same = work(3)
    await t.wait("twice", backend.gather(same, same))
    await t.wait("failure", backend.gather(work(1, 5), work(KeyError())))
    with backend.move_on_after(0.01) as scope:
        await backend.gather(work(1, 5), work(2, 5))
    t.say("cancelled", scope.cancelled_caught())


@program(*LOOPS)
async def sleeping(t: Transcript, backend: Any) -> None:
    """sleep, sleep_until, sleep_forever"""
    await t.wait("zero", backend.sleep(0))
    await t.wait("until the past", backend.sleep_until(backend.current_time() - 5))
    for value in (-1, math.nan):
        await t.wait(f"sleep {value}", backend.sleep(value))
    with backend.move_on_after(0.01) as scope:
        await backend.sleep_forever()
    t.say("for ever", scope.cancelled_caught())
    t.say("time", type(backend.current_time()))


@program(*LOOPS)
async def locks(t: Transcript, backend: Any) -> None:
    """Locks, fair locks, events, conditions"""
    for name in ("create_lock", "create_fair_lock"):
        lock = getattr(backend, name)()
        t.call(f"{name} release", lock.release)
        await t.wait(f"{name} acquire", lock.acquire())
        t.say(f"{name} locked", lock.locked())
        order: list[int] = []

        async def take(lock: Any, order: list[int], number: int) -> None:
            async with lock:
                order.append(number)
                await backend.coro_yield()

        async with backend.create_task_group() as group:
            tasks = [await group.start(take, lock, order, number) for number in range(4)]
            await backend.sleep(0.01)
            tasks[1].cancel()
            await backend.sleep(0.01)
            lock.release()
        t.say(f"{name} order", order)
        t.say(f"{name} locked", lock.locked())
    for protocol, made in (
        (ILock, lock),
        (IEvent, backend.create_event()),
        (ICondition, backend.create_condition_var()),
    ):
        t.call(protocol.__name__, isinstance, made, protocol)
    event = backend.create_event()
    t.say("event", event.is_set())
    t.call("set", event.set)
    t.call("set again", event.set)
    await t.wait("wait", event.wait())
    for lock in (None, backend.create_lock()):
        condition = backend.create_condition_var(lock)
        t.call("notify without the lock", condition.notify)
        await t.wait("wait without the lock", condition.wait())
        woken: list[int] = []

        async def wait_for(condition: Any, woken: list[int], number: int) -> None:
            async with condition:
                await condition.wait()
                woken.append(number)

        async with backend.create_task_group() as group:
            for number in range(3):
                await group.start(wait_for, condition, woken, number)
            await backend.sleep(0.01)
            async with condition:
                condition.notify()
            await until(backend, lambda woken=woken: woken)
            t.say("one", len(woken))
            async with condition:
                condition.notify_all()
        t.say("all", len(woken))
    with t.errors("foreign lock"):
        backend.create_condition_var(threading.Lock())


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@program(
    *LOOPS, explained={"StopIteration": "`StopIteration` in a thread", "(the program)": "`StopIteration` in a thread"}
)
async def threads(t: Transcript, backend: Any) -> None:
    """run_in_thread: results, errors, contexts, cancellation"""
    import time

    import sniffio

    await t.wait("result", backend.run_in_thread(int, "12"))
    await t.wait("error", backend.run_in_thread(int, "x"))
    variable.set("set")
    await t.wait("context", backend.run_in_thread(variable.get))
    await backend.run_in_thread(variable.set, "changed")
    t.say("unchanged", variable.get())
    await t.wait("sniffio", backend.run_in_thread(sniffio.current_async_library_cvar.get))
    await t.wait("no library", backend.run_in_thread(sniffio.current_async_library))
    with backend.move_on_after(0.01) as scope:
        await backend.run_in_thread(time.sleep, 0.1)
        t.say("after the thread")
        await backend.coro_yield()
        t.say("not reached")
    t.say("waited", scope.cancelled_caught())
    with backend.move_on_after(0.01) as scope:
        await backend.run_in_thread(time.sleep, 0.3, abandon_on_cancel=True)
        t.say("not reached")
    t.say("abandoned", scope.cancelled_caught())
    await t.wait("StopIteration", backend.run_in_thread(next, iter(())))


@program(*LOOPS, explained={"trio/after, again": "a threads portal that is entered again on trio"})
async def portals(t: Transcript, backend: Any) -> None:
    """ThreadsPortal: calls from threads, errors, cancelled futures, misuse"""
    import sniffio

    async def work(value: Any) -> Any:
        await backend.sleep(0.01)
        if isinstance(value, BaseException):
            raise value
        return value

    def fail(error: BaseException) -> None:
        raise error

    portal: Any = backend.create_threads_portal()
    t.call("before", portal.run_sync, int)
    async with portal:
        t.call("from the loop", portal.run_sync, int)
        t.call("from the loop, coroutine", portal.run_coroutine, work, 1)
        with t.errors("entered twice"):
            await portal.__aenter__()

        def in_thread() -> None:
            t.call("sync", portal.run_sync, int, "12", base=16)
            t.call("sync error", portal.run_sync, int, "x")
            t.call("coroutine", portal.run_coroutine, work, 5)
            t.call("coroutine error", portal.run_coroutine, work, KeyError())
            t.call("sync of a coroutine function", portal.run_sync, work, 5)
            t.call("coroutine of a function", portal.run_coroutine, int, "5")
            t.call("SystemExit", portal.run_sync, fail, SystemExit(3))
            t.call("library", portal.run_sync, sniffio.current_async_library)
            t.call("library variable", portal.run_sync, sniffio.current_async_library_cvar.get)
            variable.set("of the thread")
            t.call("context", portal.run_sync, variable.get)
            future = portal.run_sync_soon(int, "7")
            t.call("soon", future.result, 5)
            future = portal.run_coroutine_soon(backend.sleep_forever)
            t.say("cancel", future.cancel())
            concurrent.futures.wait([future], 5)
            t.say("cancelled", future.cancelled())
            t.call("cancelled result", future.result, 5)

        await backend.run_in_thread(in_thread)
    t.call("after", portal.run_sync, int)
    with t.errors("after, again"):
        async with portal:
            pass
    t.logs()


@program(*LOOPS)
async def portal_cancellations(t: Transcript, backend: Any) -> None:
    """Futures of a portal: cancelled before the coroutine starts, while it runs, and although it refuses"""
    import time

    cancelled = backend.get_cancelled_exc_class()
    log: list[str] = []
    answers: list[bool] = []

    async def stubborn(end: str) -> str:
        log.append("started")
        try:
            await backend.sleep(5)
        except cancelled:
            log.append("cancelled")
        try:
            await backend.sleep(0.01)
            log.append("went on")
        except cancelled:
            log.append("cancelled again")
            raise
        if end == "fail":
            raise KeyError
        return end

    async with backend.create_threads_portal() as portal:
        for end in ("return", "fail"):
            log.clear()

            def cancel_running(end: str = end) -> None:
                future = portal.run_coroutine_soon(stubborn, end)
                time.sleep(0.1)
                answers.append(future.cancel())
                time.sleep(0.1)

            await backend.run_in_thread(cancel_running)
            t.say(end, (answers.pop(), log))
        log.clear()
        ready = threading.Event()

        def cancel_at_once() -> None:
            future = portal.run_coroutine_soon(stubborn, "never")
            future.cancel()
            ready.set()

        worker = threading.Thread(target=cancel_at_once)
        worker.start()
        ready.wait(0.2)  # the loop is busy here
        await until(backend, lambda: not worker.is_alive())
        await backend.sleep(0.1)
        t.say("before it starts", log)
        calls: list[int] = []
        ready.clear()

        def cancel_call() -> None:
            portal.run_sync_soon(calls.append, 1).cancel()
            ready.set()

        worker = threading.Thread(target=cancel_call)
        worker.start()
        ready.wait(5)
        await until(backend, lambda: not worker.is_alive())
        await backend.sleep(0.05)
        t.say("a call before it starts", calls)
    t.logs()


@program(*ASYNCIO, explained={"log": "a failing task in a group whose first task has ended"})
async def groups_across_tasks(t: Transcript, backend: Any) -> None:
    """A task group that one task enters and another leaves (asyncio)"""
    log: list[str] = []

    async def work(delay: float, error: Exception | None = None) -> None:
        try:
            await asyncio.sleep(delay)
            log.append("done")
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        if error:
            raise error

    async def entered() -> Any:
        group = backend.create_task_group()
        await asyncio.create_task(group.__aenter__())
        return group

    group = await entered()
    group.start_soon(work, 0.01)
    await t.wait("leave", group.__aexit__(None, None, None))
    t.say("log", log)
    group = await entered()
    group.start_soon(work, 0.01, KeyError())
    group.start_soon(work, 5)
    await t.wait("failure", group.__aexit__(None, None, None))
    group = await entered()
    group.start_soon(work, 5)
    error = ValueError()
    await t.wait("with an error", group.__aexit__(type(error), error, None))
    group = await entered()
    group.start_soon(work, 5)

    async def leave() -> None:
        await group.__aexit__(None, None, None)

    task = asyncio.create_task(leave())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    t.say("cancelled", (task.cancelled(), task.cancelling()))
    t.say("log", log)
    portal = backend.create_threads_portal()
    with t.errors("portal"):
        await asyncio.create_task(portal.__aenter__())
        t.say("call", await asyncio.to_thread(portal.run_sync, int, "3"))
        await portal.__aexit__(None, None, None)


@program(*LOOPS)
async def futures(t: Transcript, backend: Any) -> None:
    """unwrap_future: done, cancelled, running, waiter cancelled"""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_result(1)
    await t.wait("done", unwrap_future(future, backend))
    future = concurrent.futures.Future()
    future.set_exception(KeyError())
    await t.wait("failed", unwrap_future(future, backend))
    future = concurrent.futures.Future()
    future.cancel()
    await t.wait("cancelled", unwrap_future(future, backend))
    future = concurrent.futures.Future()
    with backend.move_on_after(0.01) as scope:
        await unwrap_future(future, backend)
    t.say("waiter cancelled", (scope.cancelled_caught(), future.cancelled()))
    running: concurrent.futures.Future[Any] = concurrent.futures.Future()
    running.set_running_or_notify_cancel()
    timer = threading.Timer(0.1, running.set_result, [2])
    timer.start()
    with backend.move_on_after(0.01) as scope:
        await t.wait("running", unwrap_future(running, backend))
    t.say("waiter cancelled", scope.cancelled_caught())
    other: concurrent.futures.Future[Any] = concurrent.futures.Future()
    threading.Timer(0.05, other.cancel).start()
    await t.wait("cancelled by another", unwrap_future(other, backend))
    timer.join()


@program(*LOOPS)
async def executors(t: Transcript, backend: Any) -> None:
    """AsyncExecutor: run, map, shutdown, contexts"""
    with t.errors("not an executor"):
        AsyncExecutor(3, backend)
    with t.errors("backend found"):
        t.say("backend found", type(AsyncExecutor(concurrent.futures.ThreadPoolExecutor(1)).backend()))
    variable.set("caller")
    async with AsyncExecutor(concurrent.futures.ThreadPoolExecutor(1), backend) as executor:
        await t.wait("run", executor.run(int, "ff", base=16))
        await t.wait("run fails", executor.run(int, "x"))
        await t.wait("context", executor.run(variable.get))
        with t.errors("map"):
            t.say("map", [result async for result in executor.map(pow, [2, 3, 4], [2, 2])])
        with t.errors("map fails"):
            async for result in executor.map(int, ["1", "x", "2"]):
                t.say("map", result)
        t.say("wrapped", type(executor.wrapped))
    await t.wait("closed", executor.run(int))
    await t.wait("shutdown again", executor.shutdown())
    t.call("shutdown_nowait", executor.shutdown_nowait, cancel_futures=True)
    plain = AsyncExecutor(concurrent.futures.ThreadPoolExecutor(1), backend, handle_contexts=False)
    await t.wait("no context", plain.run(variable.get))
    await plain.shutdown()


@program(*LOOPS)
async def names(t: Transcript, backend: Any) -> None:
    """getaddrinfo and getnameinfo"""
    await t.wait("numeric", backend.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM))
    await t.wait("unknown", backend.getaddrinfo("does-not-exist.invalid", 80))
    await t.wait("service", backend.getaddrinfo("127.0.0.1", "nonsense-service"))
    await t.wait("name", backend.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))


@program(
    *LOOPS,
    explained={
        "open": "sockets and transports that a constructor refuses",
        "trio/backlog": "wrong arguments",
        "trio/no fitting local": ERRNO,
    },
)
async def connections(t: Transcript, backend: Any) -> None:
    """Connections and sockets created by the backend: failures and wrong arguments"""
    with refuse_port() as port:
        await t.wait("refused", backend.create_tcp_connection("127.0.0.1", port))
        await t.wait("refused, local", backend.create_tcp_connection("127.0.0.1", port, local_address=("192.0.2.1", 0)))
        await t.wait("no fitting local", backend.create_tcp_connection("127.0.0.1", port, local_address=("::1", 0)))
    await t.wait("unknown", backend.create_tcp_connection("does-not-exist.invalid", 80))
    await t.wait("UDP unknown", backend.create_udp_endpoint("does-not-exist.invalid", 80))
    await t.wait("UDP family", backend.create_udp_endpoint("127.0.0.1", 80, family=socket.AF_UNIX))
    await t.wait("UDP no fitting family", backend.create_udp_endpoint("127.0.0.1", 80, family=socket.AF_INET6))
    with folder() as path:
        await t.wait("Unix missing", backend.create_unix_stream_connection(str(path / "x")))
        await t.wait("Unix datagram missing", backend.create_unix_datagram_endpoint(str(path / "x")))
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with near, far:
        await t.wait("wrong kind", backend.wrap_connected_datagram_socket(near))
        t.say("open", near.fileno() != -1)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        await t.wait("wrong kind of stream", backend.wrap_stream_socket(near))
    with socket.socket() as unconnected:
        await t.wait("not connected", _made(backend.wrap_stream_socket(unconnected)))
    for name, call in {
        "listeners on a name": lambda: backend.create_tcp_listeners("does-not-exist.invalid", 0, 1),
        "listeners on nothing": lambda: backend.create_tcp_listeners([], 0, 1),
        "listeners on ints": lambda: backend.create_tcp_listeners([1], 0, 1),
        "listeners on a foreign address": lambda: backend.create_tcp_listeners("192.0.2.1", 0, 1),
        "UDP on a foreign address": lambda: backend.create_udp_listeners("192.0.2.1", 0),
        "UDP on nothing": lambda: backend.create_udp_listeners([], 0),
        "backlog": lambda: backend.create_tcp_listeners("127.0.0.1", 0, 0),
    }.items():
        await t.wait(name, _made(call()))
    with folder() as path:
        listener = await backend.create_unix_stream_listener(str(path / "s"), 1, mode=0o600)
        t.say("mode", oct((path / "s").stat().st_mode & 0o777))
        await t.wait("taken", _made(backend.create_unix_stream_listener(str(path / "s"), 1)))
        await listener.aclose()
        t.say("file stays", (path / "s").exists())


async def _made(awaitable: Any) -> Any:
    made = await awaitable
    for one in made if isinstance(made, (list, tuple)) else [made]:
        await one.aclose()
    return [type(one).__name__ != "" for one in made] if isinstance(made, (list, tuple)) else "made"
