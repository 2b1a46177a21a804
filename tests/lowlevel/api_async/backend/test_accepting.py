"""What becomes of connections that come in while their listener is in trouble."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute

Listener = AsyncListener[AsyncStreamTransport]


@pytest.fixture
async def listener(backend: AsyncBackend) -> AsyncIterator[Listener]:
    [listener] = await backend.create_tcp_listeners("127.0.0.1", 0, 100)
    async with listener:
        yield listener


@contextlib.contextmanager
def connected(listener: Listener, count: int) -> Any:
    """So many connections, none of them accepted yet."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(listener.extra(SocketAttribute.sockname), 5))
            for _ in range(count)
        ]


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


# --- a group that fails


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("private", [True, False])
async def test_a_group_that_fails_while_connections_come_in_leaves_none_open(
    backend: AsyncBackend, listener: Listener, private: bool, turns: int
) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        async with transport:
            await backend.sleep_forever()

    async def fail() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ZeroDivisionError

    with connected(listener, 20) as clients:
        with pytest.raises(ExceptionGroup):
            async with backend.create_task_group() as group:
                group.start_soon(listener.serve, handler, None if private else group)
                group.start_soon(fail)
        await listener.aclose()
        assert await asyncio.to_thread(lambda: all(map(is_closed, clients)))


async def test_a_group_that_has_ended_ends_serve_and_the_connection(backend: AsyncBackend, listener: Listener) -> None:
    async def handler(transport: AsyncStreamTransport) -> None:
        raise AssertionError("never called")

    async with backend.create_task_group() as ended:
        pass
    with connected(listener, 1) as [client]:
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(listener.serve(handler, ended), 5)
        assert await asyncio.to_thread(is_closed, client)


async def test_a_handler_that_cannot_be_called_ends_serve_and_the_connection(
    backend: AsyncBackend, listener: Listener
) -> None:
    handler: Any = "not a function"
    with connected(listener, 1) as [client]:
        with pytest.raises(TypeError):
            async with backend.create_task_group() as group:
                await asyncio.wait_for(listener.serve(handler, group), 5)
        assert await asyncio.to_thread(is_closed, client)
