"""The life of a server from its first activation to its end, which is the same for all four kinds."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import stat
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
from tests.servers.kinds import Kind, Server
from tests.support.background import Running, settle, spawn, until
from tests.support.datagram_servers import (
    has_ipv6,
)
from tests.support.network_servers import run_in_task
from tests.support.peers import PATIENCE

from easynetwork.exceptions import BusyResourceError, ServerAlreadyRunning, ServerClosedError

EVERY_BACKEND = True


class Opening:
    """Makes the opening of sockets wait."""

    def __init__(self, kind: Kind, monkeypatch: pytest.MonkeyPatch, when: str = "before") -> None:
        self.calls = 0
        self.go_on = kind.backend.create_event()
        self._backend = kind.backend
        self._open: Callable[..., Awaitable[Any]] = getattr(type(kind.backend), kind.opener)
        self._when = when
        monkeypatch.setattr(type(kind.backend), kind.opener, lambda *args, **options: self._wait(args, options))

    async def _wait(self, args: Any, options: Any) -> Any:
        self.calls += 1
        if self._when == "before":
            await self.go_on.wait()
            return await self._open(*args, **options)
        listeners = await self._open(*args, **options)
        await self._backend.ignore_cancellation(self._backend.sleep(0.2))  # the test goes on meanwhile
        return listeners

    async def has_begun(self) -> None:
        await until(lambda: self.calls)


@contextlib.asynccontextmanager
async def nothing_left(kind: Kind) -> AsyncIterator[None]:
    """Neither open sockets nor files."""
    async with no_sockets_left(kind):
        yield
    assert not os.path.lexists(kind.path)


@contextlib.asynccontextmanager
async def no_sockets_left(kind: Kind) -> AsyncIterator[None]:
    before = open_sockets()
    yield
    await until(lambda: open_sockets() <= before)
    assert open_sockets() == before


def open_sockets() -> int:
    """Return how many sockets this process has open. (Event loops open other files when it pleases them.)"""
    count = 0
    for fd in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the one of the directory has gone
            count += stat.S_ISSOCK(os.fstat(int(fd)).st_mode)
    return count


async def is_up(task: Running[None], server: Server) -> None:
    await until(lambda: server.is_serving() or task.done())
    assert server.is_serving(), task.error


# --------------------------------------------------------------------------------------------------------- activation


async def test_new_server_is_nowhere(kind: Kind) -> None:
    server = kind.new_server()
    assert server.backend() is kind.backend
    assert not server.is_listening()
    assert not server.is_serving()
    assert server.get_addresses() == server.get_sockets() == ()
    await server.shutdown()
    await server.server_close()


async def test_logger_is_named_after_the_module_unless_given(kind: Kind) -> None:
    server = kind.new_server()
    assert server.logger.name == type(server).__module__
    assert server.logger.name.startswith("easynetwork.servers.async_")
    logger = logging.getLogger("mine")
    assert kind.new_server(logger=logger).logger is logger


async def test_activation_opens_the_sockets_once(kind: Kind) -> None:
    async with nothing_left(kind):
        async with kind.new_server() as server:
            assert server.is_listening()
            assert not server.is_serving()
            addresses = server.get_addresses()
            [sock] = server.get_sockets()
            assert len(addresses) == 1
            await server.server_activate()
            assert server.get_addresses() == addresses
            assert server.get_sockets()[0].getsockname() == sock.getsockname()
        assert not server.is_listening()
        assert server.get_addresses() == server.get_sockets() == ()


async def test_context_closes_after_an_error_as_well(kind: Kind) -> None:
    async with nothing_left(kind):
        server = kind.new_server()
        with pytest.raises(ZeroDivisionError):
            async with server:
                raise ZeroDivisionError
        with pytest.raises(ServerClosedError):
            async with server:
                pytest.fail("it is closed")


async def test_concurrent_activations_open_the_sockets_once(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(kind, monkeypatch)
    server = kind.new_server()
    async with kind.backend.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(server.server_activate)
        await opening.has_begun()
        opening.go_on.set()
    assert opening.calls == 1
    assert server.is_listening()
    await server.server_close()


async def test_address_in_use_is_an_oserror_and_can_be_tried_again(kind: Kind) -> None:
    async with kind.new_server() as other:
        [address] = other.get_addresses()
        server = kind.new_server(None, *((address.host, address.port) if kind.is_inet else (kind.path,)))
        async with no_sockets_left(kind):
            for _ in range(2):
                error: Any = ExceptionGroup if kind.is_inet else OSError
                with pytest.raises(error) as caught:
                    await server.server_activate()
                if kind.is_inet:
                    assert all(isinstance(exc, OSError) for exc in caught.value.exceptions)
                assert not server.is_listening()
                with pytest.raises(error):
                    await server.serve_forever()
    async with nothing_left(kind), server:
        assert server.get_addresses() == (address,)


async def test_file_that_cannot_be_looked_at_after_all_closes_the_socket(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind.is_inet:
        pytest.skip("files are for Unix sockets")

    def fail(*args: Any) -> None:
        raise PermissionError("on purpose")

    server = kind.new_server()
    async with no_sockets_left(kind):
        with monkeypatch.context() as patch, pytest.raises(PermissionError):
            patch.setattr("easynetwork.servers._unix_server.find_socket_file", fail)
            await server.server_activate()
        assert not server.is_listening()
    async with nothing_left(kind), server:
        assert server.is_listening()


async def test_backend_without_a_listener_is_an_oserror_and_can_be_tried_again(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kind.is_inet:
        pytest.skip("a Unix socket is always one")
    real, opened = getattr(type(kind.backend), kind.opener), False

    async def open_none_at_first(*args: Any, **options: Any) -> Any:
        nonlocal opened
        before, opened = opened, True
        return await real(*args, **options) if before else ()

    monkeypatch.setattr(type(kind.backend), kind.opener, open_none_at_first)
    server = kind.new_server()
    with pytest.raises(OSError, match="no host to listen on"):
        await server.server_activate()
    assert server.get_sockets() == server.get_addresses() == ()
    assert not server.is_listening()
    async with server:
        await server.server_activate()
        assert server.is_listening()


async def test_unknown_host_is_a_gaierror_in_a_group(kind: Kind) -> None:
    if not kind.is_inet:
        pytest.skip("hosts are for internet sockets")
    server = kind.new_server(None, "256.1.1.1", 0)
    with pytest.raises(ExceptionGroup) as caught:
        await server.server_activate()
    assert caught.value.subgroup(socket.gaierror) is not None
    assert not server.is_listening()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_closing_ends_the_activation_of_another_task(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    opening = Opening(kind, monkeypatch, when)
    async with nothing_left(kind):
        server = kind.new_server()
        tasks = [spawn(server.server_activate()) for _ in range(2)]
        await opening.has_begun()
        await server.server_close()
        for task in tasks:
            with pytest.raises(ServerClosedError):
                await task.result()
        assert not server.is_listening()
    assert opening.calls == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_shutdown_during_the_activation_ends_the_serving(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    opening = Opening(kind, monkeypatch, when)
    async with nothing_left(kind):
        server = kind.new_server()
        event = kind.backend.create_event()
        task = spawn(server.serve_forever(is_up_event=event))
        await opening.has_begun()
        await server.shutdown()
        await task.result()
        assert not event.is_set()
        assert not server.is_serving()
        opening.go_on.set()
        async with run_in_task(server):
            assert await kind.is_served(server)
        kind.hang_up()


@pytest.mark.parametrize("activate", ["server_activate", "serve_forever"])
async def test_cancelled_activation_leaves_nothing_and_can_be_tried_again(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, activate: str
) -> None:
    opening = Opening(kind, monkeypatch)
    async with nothing_left(kind):
        server = kind.new_server()
        task = spawn(getattr(server, activate)())
        await opening.has_begun()
        waiting = spawn(server.server_activate())
        await settle()
        for running in (waiting, task):
            running.cancel()
            await running.wait()
            assert running.cancelled()
        assert not server.is_listening()
        opening.go_on.set()
        async with server:
            assert server.is_listening()


async def test_activation_that_is_cancelled_anywhere_is_done_or_undone(kind: Kind) -> None:
    async with nothing_left(kind):
        for turns in range(10):
            server = kind.new_server()
            task = spawn(server.server_activate())
            for _ in range(turns):
                await kind.backend.coro_yield()
            task.cancel()
            await task.wait()
            assert task.error is None
            assert server.is_listening() is not task.cancelled()
            if task.cancelled():
                assert not os.path.lexists(kind.path)
            await server.server_activate()
            assert server.is_listening()
            await server.server_close()


# ------------------------------------------------------------------------------------------------------------ serving


async def test_server_answers_until_it_is_shut_down_and_again_when_it_is_served_again(kind: Kind) -> None:
    service = kind.new_service()
    async with nothing_left(kind), kind.new_server(service) as server:
        addresses = server.get_addresses()
        for _ in range(3):
            task = spawn(server.serve_forever())
            await is_up(task, server)
            assert await kind.is_served(server)
            await server.shutdown()
            assert task.done()
            await task.result()
            kind.hang_up()
            assert not server.is_serving()
            assert server.is_listening()
            assert server.get_addresses() == addresses
            assert len(server.get_sockets()) == 1
            assert kind.is_inet or os.path.exists(kind.path)
    assert service.diary == ["init", "exit"] * 3


async def test_event_is_set_once_the_server_is_up(kind: Kind) -> None:
    class Event:
        seen: bool | None = None

        def set(self) -> None:
            self.seen = server.is_serving()

    event = Event()
    server = kind.new_server()
    task = spawn(server.serve_forever(is_up_event=event))
    await until(lambda: event.seen is not None)
    assert event.seen
    await server.shutdown()
    threads_event = threading.Event()
    again = spawn(server.serve_forever(is_up_event=threads_event))
    await until(threads_event.is_set)
    await server.server_close()
    for running in (task, again):
        await running.result()


async def test_set_up_finds_a_server_that_is_listening_and_not_serving(kind: Kind) -> None:
    async def look(server: Any, exit_stack: AsyncExitStack) -> None:
        seen.append((server.is_listening(), server.is_serving(), server.get_addresses()))
        seen.append(type(server))
        exit_stack.callback(lambda: seen.append((server.is_listening(), server.is_serving())))

    seen: list[Any] = []
    server = kind.new_server(kind.new_service(look))
    async with run_in_task(server):
        addresses = server.get_addresses()
        await server.shutdown()
    assert seen == [(True, False, addresses), weakref.ProxyType, (True, False)]


async def test_second_call_is_refused_while_serving_and_while_setting_up(kind: Kind) -> None:
    async def wait(server: Any, exit_stack: AsyncExitStack) -> None:
        await go_on.wait()

    go_on = kind.backend.create_event()
    service = kind.new_service(wait)
    server = kind.new_server(service)
    task = spawn(server.serve_forever())
    await until(lambda: service.diary)
    with pytest.raises(ServerAlreadyRunning):
        await server.serve_forever()
    go_on.set()
    await is_up(task, server)
    with pytest.raises(ServerAlreadyRunning):
        await server.serve_forever()
    assert await kind.is_served(server)
    await server.server_close()
    await server.shutdown()
    assert service.diary == ["init", "exit"]


async def test_failure_of_the_set_up_propagates_and_the_server_can_be_served_again(kind: Kind) -> None:
    async def fail(server: Any, exit_stack: AsyncExitStack) -> None:
        raise LookupError("on purpose")

    service = kind.new_service(fail)
    server = kind.new_server(service)
    event = kind.backend.create_event()
    with pytest.raises(LookupError):
        await server.serve_forever(is_up_event=event)
    assert service.diary == ["init", "exit"]
    assert not event.is_set()
    assert server.is_listening()
    assert not server.is_serving()
    service.set_up = None
    async with run_in_task(server):
        assert await kind.is_served(server)


async def test_failure_of_the_tear_down_propagates_and_the_server_can_be_served_again(kind: Kind) -> None:
    async def prepare(server: Any, exit_stack: AsyncExitStack) -> None:
        exit_stack.callback(lambda: 1 / 0)

    service = kind.new_service(prepare)
    server = kind.new_server(service)
    task = spawn(server.serve_forever())
    await is_up(task, server)
    await server.shutdown()
    assert isinstance(task.error, ZeroDivisionError)
    service.set_up = None
    async with run_in_task(server):
        assert await kind.is_served(server)


async def test_work_of_the_tear_down_is_cancelled_unless_it_ignores_that(kind: Kind) -> None:
    async def prepare(server: Any, exit_stack: AsyncExitStack) -> None:
        exit_stack.push_async_callback(kind.backend.ignore_cancellation, work("ignores"))
        exit_stack.push_async_callback(work, "does not")

    async def work(name: str) -> None:
        await kind.backend.coro_yield()
        service.diary.append(name)

    service = kind.new_service(prepare)
    async with run_in_task(kind.new_server(service)):
        pass
    assert service.diary == ["init", "ignores", "exit"]


# ----------------------------------------------------------------------------------------------------------- shutdown


async def test_any_number_of_tasks_may_shut_down_and_return_after_the_end(kind: Kind) -> None:
    service = kind.new_service()
    server = kind.new_server(service)

    async def shut_down() -> list[str]:
        await server.shutdown()
        return list(service.diary)

    async with run_in_task(server) as task:
        assert await kind.backend.gather(*(shut_down() for _ in range(4))) == [["init", "exit"]] * 4
        assert task.done()


async def test_shutdown_cancels_handlers_before_the_service_ends(kind: Kind) -> None:
    service = kind.new_service()
    service.go_on = kind.backend.create_event()
    server = kind.new_server(service)
    async with nothing_left(kind), run_in_task(server):
        sock = kind.connect(server)
        kind.send(sock, "wait")
        await until(lambda: "waiting" in service.diary)
        await server.shutdown()
        assert server.is_listening()
        kind.hang_up()
    assert service.diary == ["init", "waiting", "cancelled", "exit"]


async def test_shutdown_during_the_set_up_ends_it_and_the_event_is_never_set(kind: Kind) -> None:
    async def hang(server: Any, exit_stack: AsyncExitStack) -> None:
        await kind.backend.sleep_forever()

    service = kind.new_service(hang)
    server = kind.new_server(service)
    event = kind.backend.create_event()
    task = spawn(server.serve_forever(is_up_event=event))
    await until(lambda: service.diary)
    await server.shutdown()
    await task.result()
    assert service.diary == ["init", "exit"]
    assert not event.is_set()
    assert server.is_listening()
    await server.server_close()


async def test_shutdown_right_after_the_start_leaves_the_event_unset(kind: Kind) -> None:
    """The set-up may end in the turn of the event loop in which the cancellation is on its way."""
    server, event = kind.new_server(), kind.backend.create_event()
    async with kind.backend.create_task_group() as group:
        task = await group.start(partial(server.serve_forever, is_up_event=event))
        assert not event.is_set()
        await server.shutdown()
        assert not event.is_set()
        await task.join()
    await server.server_close()


@pytest.mark.parametrize("turns", range(8))
async def test_shutdown_in_any_turn_of_the_set_up_leaves_the_event_unset(kind: Kind, turns: int) -> None:
    server, event = kind.new_server(), kind.backend.create_event()
    async with kind.backend.create_task_group() as group:
        await group.start(partial(server.serve_forever, is_up_event=event))
        for _ in range(turns):
            await kind.backend.coro_yield()
        was_up = event.is_set()
        await server.shutdown()
        assert event.is_set() == was_up
    await server.server_close()


async def test_shutdown_that_comes_as_the_set_up_ends_leaves_the_event_unset(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    async def shut_down(server: Server, _: object) -> None:
        spawn(server.shutdown())
        for _ in range(2):
            await kind.backend.cancel_shielded_coro_yield()

    server, event = kind.new_server(kind.new_service(shut_down)), kind.backend.create_event()
    with caplog.at_level(logging.INFO):
        await server.serve_forever(is_up_event=event)
    assert not event.is_set()
    assert not [record for record in caplog.records if record.getMessage().startswith("Start serving")]
    await server.server_close()


if sys.version_info >= (3, 12):

    @pytest.mark.not_on_trio("it has no eager tasks")
    async def test_shutdown_right_after_an_eager_start_leaves_the_event_unset(kind: Kind) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, asyncio.BaseEventLoop):
            pytest.skip("eager tasks need a loop of asyncio")
        loop.set_task_factory(asyncio.eager_task_factory)
        server, event = kind.new_server(), kind.backend.create_event()
        task = asyncio.create_task(server.serve_forever(is_up_event=event))
        was_up = event.is_set()
        await server.shutdown()
        assert event.is_set() == was_up
        await task
        await server.server_close()


async def test_shutdown_that_is_cancelled_shuts_down_all_the_same(kind: Kind) -> None:
    server = kind.new_server()
    async with run_in_task(server) as task:
        shutting_down = spawn(server.shutdown())
        shutting_down.cancel()
        await task.wait()
        assert not server.is_serving()


async def test_serving_that_is_cancelled_anywhere_tears_down_and_stays_usable(kind: Kind) -> None:
    service = kind.new_service()
    server = kind.new_server(service)
    async with nothing_left(kind):
        for turns in range(40):
            service.diary.clear()
            task = spawn(server.serve_forever())
            for _ in range(turns):
                await kind.backend.coro_yield()
            task.cancel()
            await task.wait()
            assert task.cancelled()
            assert task.error is None
            assert service.diary in ([], ["init", "exit"])
            assert not server.is_serving()
        async with run_in_task(server):
            assert await kind.is_served(server)
        kind.hang_up()


async def test_cancelled_serving_is_no_normal_end(kind: Kind) -> None:
    service = kind.new_service()
    service.go_on = kind.backend.create_event()
    server = kind.new_server(service)
    async with run_in_task(server) as task:
        kind.send(kind.connect(server), "wait")
        await until(lambda: "waiting" in service.diary)
        task.cancel()
        await task.wait()
        assert task.cancelled()
        assert server.is_listening()
        assert not server.is_serving()
    assert service.diary == ["init", "waiting", "cancelled", "exit"]


# ------------------------------------------------------------------------------------------------------------ closing


async def test_closed_server_stays_closed(kind: Kind) -> None:
    server = kind.new_server()
    await server.server_close()
    await server.server_close()
    with pytest.raises(ServerClosedError):
        await server.server_activate()
    with pytest.raises(ServerClosedError):
        await server.serve_forever()
    assert not os.path.lexists(kind.path)


async def test_closing_without_anything_to_do_ends_the_serving(kind: Kind) -> None:
    service = kind.new_service()
    server = kind.new_server(service)
    async with nothing_left(kind):
        async with run_in_task(server) as task:
            await kind.backend.gather(server.server_close(), server.server_close())
            await task.result()
    assert service.diary == ["init", "exit"]


async def test_closing_lets_handlers_finish(kind: Kind) -> None:
    service = kind.new_service()
    service.go_on = kind.backend.create_event()
    server = kind.new_server(service)
    async with nothing_left(kind):
        async with run_in_task(server) as task:
            sock = kind.connect(server)
            kind.send(sock, "wait")
            await until(lambda: "waiting" in service.diary)
            await server.server_close()
            assert not server.is_serving()
            assert not server.is_listening()
            assert server.get_addresses() == server.get_sockets() == ()
            assert not os.path.lexists(kind.path)
            with pytest.raises(ServerAlreadyRunning):
                await server.serve_forever()
            with pytest.raises(ServerClosedError):
                await server.server_activate()
            assert not task.done()
            service.go_on.set()
            await until(lambda: "done" in service.diary)
            if kind.is_stream:
                assert await kind.ask(sock, "still there?") == "still there?"
                assert not task.done()
                sock.close()
            await task.result()
        assert service.diary == ["init", "waiting", "done", "exit"]
        with pytest.raises(ServerClosedError):
            await server.serve_forever()
        kind.hang_up()


async def test_shutdown_of_a_closed_server_ends_its_handlers(kind: Kind) -> None:
    service = kind.new_service()
    service.go_on = kind.backend.create_event()
    server = kind.new_server(service)
    async with run_in_task(server) as task:
        kind.send(kind.connect(server), "wait")
        await until(lambda: "waiting" in service.diary)
        await server.server_close()
        await server.shutdown()
        assert task.done()
    assert service.diary == ["init", "waiting", "cancelled", "exit"]


async def test_handler_may_close_the_server_it_serves(kind: Kind) -> None:
    service = kind.new_service()
    server = kind.new_server(service)
    service.on_request = server.server_close
    async with nothing_left(kind), run_in_task(server) as task:
        sock = kind.connect(server)
        kind.send(sock, "call")
        await until(lambda: "called" in service.diary)
        kind.hang_up()
        await task.result()
    assert service.diary == ["init", "called", "exit"]


async def test_closing_is_refused_while_setting_up(kind: Kind) -> None:
    async def close(server: Any, exit_stack: AsyncExitStack) -> None:
        with pytest.raises(BusyResourceError):
            await server.server_close()
        await go_on.wait()

    go_on = kind.backend.create_event()
    service = kind.new_service(close)
    server = kind.new_server(service)
    task = spawn(server.serve_forever())
    await until(lambda: service.diary)
    with pytest.raises(BusyResourceError):
        await server.server_close()
    assert server.is_listening()
    go_on.set()
    await is_up(task, server)
    assert await kind.is_served(server)
    await server.server_close()
    await server.shutdown()


async def test_closing_that_is_cancelled_anywhere_closes_all_the_same(kind: Kind) -> None:
    async with nothing_left(kind):
        for turns in range(10):
            server = kind.new_server()
            await server.server_activate()
            sockets = server.get_sockets()
            closing = spawn(server.server_close())
            for _ in range(turns):
                await kind.backend.coro_yield()
            closing.cancel()
            await closing.wait()
            assert closing.error is None
            assert not server.is_listening()
            assert not os.path.lexists(kind.path)
            with kind.backend.timeout(PATIENCE):
                while [sock.fileno() for sock in sockets] != [-1]:
                    await kind.backend.coro_yield()


async def test_closing_and_shutting_down_at_once_is_an_end(kind: Kind) -> None:
    service = kind.new_service()
    server = kind.new_server(service)
    async with nothing_left(kind):
        async with run_in_task(server) as task:
            await kind.backend.gather(server.shutdown(), server.server_close())
            await task.result()
    assert service.diary == ["init", "exit"]


# --------------------------------------------------------------------------------------------------- several sockets


async def test_each_of_several_sockets_is_served(kind: Kind) -> None:
    if not kind.is_inet:
        pytest.skip("a Unix server has one socket")
    hosts = ["127.0.0.1", "127.0.0.2", *(["::1"] if has_ipv6() else [])]
    async with nothing_left(kind):
        server = kind.new_server(None, hosts, 0)
        async with run_in_task(server):
            addresses = server.get_addresses()
            assert [address.host for address in addresses] == hosts
            assert all(address.port > 0 for address in addresses)
            for index, address in enumerate(addresses):
                sock = kind.connect(server, index)
                assert sock.getpeername()[:2] == (address.host, address.port)
                assert await kind.ask(sock, "hello") == "hello"
            kind.hang_up()
            await server.shutdown()
            assert server.get_addresses() == addresses


async def test_no_socket_stays_open_if_one_of_several_cannot_be_opened(kind: Kind) -> None:
    if not kind.is_inet:
        pytest.skip("a Unix server has one socket")
    async with kind.new_server() as other:
        [taken] = other.get_addresses()
        async with nothing_left(kind):
            server = kind.new_server(None, ["127.0.0.2", "127.0.0.1"], taken.port)
            with pytest.raises(ExceptionGroup) as caught:
                await server.serve_forever()
            assert len(caught.value.exceptions) == 1
            assert server.get_addresses() == ()


# --------------------------------------------------------------------------------------------------------------- rest


def without_asyncio(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The records without those of asyncio, which logs servers in its debug mode."""
    return [record for record in caplog.records if record.name != "asyncio"]


async def test_start_and_end_are_logged_with_all_addresses(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = kind.new_server(None, *((["127.0.0.1", "127.0.0.2"], 0) if kind.is_inet else ()))
    async with run_in_task(server):
        addresses = [str(address) for address in server.get_addresses()]
        [started] = without_asyncio(caplog)
        assert all(address in started.getMessage() for address in addresses)
        await server.shutdown()
        assert len(caplog.records) >= 3
    assert {record.levelno for record in caplog.records} == {logging.INFO}
    assert {record.name for record in without_asyncio(caplog)} == {server.logger.name}


async def test_server_that_nobody_refers_to_is_collected(kind: Kind) -> None:
    service = kind.new_service()

    async def keep(server: Any, exit_stack: AsyncExitStack) -> None:
        service.diary.append(server)

    service.set_up = keep
    server = kind.new_server(service)
    async with run_in_task(server):
        assert await kind.is_served(server)
    reference = weakref.ref(server)
    del server
    gc.collect()
    assert reference() is None


async def test_server_that_is_abandoned_with_open_sockets_is_collected_with_them(kind: Kind) -> None:
    before = open_sockets()
    server = kind.new_server()
    await server.server_activate()
    reference = weakref.ref(server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del server
        gc.collect()
    assert reference() is None
    assert open_sockets() == before
