"""The asyncio backend. It runs on any asyncio event loop, including uvloop."""

from __future__ import annotations

__all__ = ["AsyncIOBackend"]

import asyncio
import math
import socket as _socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import sniffio
from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel._sockets.calls import adopt_socket
from easynetwork.lowlevel.api_async.backend._unix_sockets import open_connected_socket, open_datagram_socket
from easynetwork.lowlevel.api_async.backend.abc import (
    AsyncBackend,
    CancelScope,
    ICondition,
    IEvent,
    ILock,
    TaskGroup,
    TaskInfo,
    ThreadsPortal,
)
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncDatagramListener,
    AsyncDatagramTransport,
    AsyncListener,
    AsyncStreamTransport,
)

from .datagram import udp
from .datagram.udp_transport import wrap_udp_socket
from .datagram.unix_listener import AsyncioUnixDatagramListener
from .datagram.unix_transport import AsyncioUnixDatagramTransport
from .stream import tcp, unix
from .tasks.groups import AsyncioTaskGroup, task_info
from .tasks.scopes import AsyncioCancelScope
from .tasks.shields import ignore_cancellation
from .tasks.threads import AsyncioThreadsPortal, run_in_thread

try:
    import uvloop
except ImportError:
    _new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _new_event_loop = uvloop.new_event_loop

_HAS_UNIX_SOCKETS: Final = sys.platform != "win32" and hasattr(_socket, "AF_UNIX")

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T_PosArgs = TypeVarTuple("_T_PosArgs")


class AsyncIOBackend(AsyncBackend):
    """The asyncio backend."""

    __slots__ = ()

    def bootstrap(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        *args: *_T_PosArgs,
        runner_options: Mapping[str, Any] | None = None,
    ) -> _T:
        """Run ``coro_func(*args)`` with `asyncio.Runner`, on uvloop if it is installed.

        Parameters:
            coro_func: the coroutine function to run.
            args: its positional arguments.
            runner_options: keyword arguments of `asyncio.Runner`. Pass ``loop_factory`` to select another event loop,
                for example `asyncio.new_event_loop`.
        """
        options: dict[str, Any] = {"loop_factory": _new_event_loop, **(runner_options or {})}
        name_before = sniffio.thread_local.name
        with asyncio.Runner(**options) as runner:
            sniffio.thread_local.name = "asyncio"
            try:
                return runner.run(coro_func(*args))
            finally:
                sniffio.thread_local.name = name_before

    async def coro_yield(self) -> None:
        await asyncio.sleep(0)

    async def cancel_shielded_coro_yield(self) -> None:
        await ignore_cancellation(asyncio.sleep(0))

    def get_cancelled_exc_class(self) -> type[BaseException]:
        return asyncio.CancelledError

    def _hook_is_cancellation(self, exc: BaseException) -> bool:
        return isinstance(exc, asyncio.CancelledError) and self._hook_is_cancelled()

    def _hook_is_cancelled(self) -> bool:
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def ignore_cancellation(self, coroutine: Awaitable[_T_co]) -> _T_co:
        return await ignore_cancellation(coroutine)

    def open_cancel_scope(self, *, deadline: float = math.inf) -> CancelScope:
        return AsyncioCancelScope(deadline)

    def current_time(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay: float) -> None:
        await asyncio.sleep(delay)

    async def sleep_forever(self) -> NoReturn:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    def create_task_group(self) -> TaskGroup:
        return AsyncioTaskGroup()

    def get_current_task(self) -> TaskInfo:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("No task is running")
        return task_info(task)

    def create_lock(self) -> ILock:
        return asyncio.Lock()

    def create_fair_lock(self) -> ILock:
        return asyncio.Lock()  # already first come, first served

    def create_event(self) -> IEvent:
        return asyncio.Event()

    def create_condition_var(self, lock: ILock | None = None) -> ICondition:
        if lock is not None and not isinstance(lock, asyncio.Lock):
            raise TypeError(f"Expected an asyncio.Lock object, got {lock!r}")
        return asyncio.Condition(lock)

    async def run_in_thread(
        self,
        func: Callable[[Unpack[_T_PosArgs]], _T],
        /,
        *args: *_T_PosArgs,
        abandon_on_cancel: bool = False,
    ) -> _T:
        return await run_in_thread(partial(func, *args), abandon_on_cancel=abandon_on_cancel)

    def create_threads_portal(self) -> ThreadsPortal:
        return AsyncioThreadsPortal(self)

    async def create_tcp_connection(
        self,
        host: str,
        port: int,
        *,
        local_address: tuple[str, int] | None = None,
        happy_eyeballs_delay: float | None = None,
    ) -> AsyncStreamTransport:
        return await tcp.connect(self, host, port, local_address, happy_eyeballs_delay)

    async def wrap_stream_socket(self, socket: _socket.socket) -> AsyncStreamTransport:
        adopt_socket(socket, _socket.SOCK_STREAM)
        if _HAS_UNIX_SOCKETS and socket.family == _socket.AF_UNIX:
            return unix.wrap_stream_socket(self, socket)
        return await tcp.wrap_stream_socket(self, socket)

    async def create_tcp_listeners(
        self,
        host: str | Sequence[str] | None,
        port: int,
        backlog: int,
        *,
        reuse_port: bool = False,
    ) -> Sequence[AsyncListener[AsyncStreamTransport]]:
        return await tcp.open_listeners(self, host, port, backlog, reuse_port=reuse_port)

    if _HAS_UNIX_SOCKETS:

        async def create_unix_stream_connection(
            self, path: str | bytes, *, local_path: str | bytes | None = None
        ) -> AsyncStreamTransport:
            return await unix.connect(self, path, local_path)

        async def create_unix_stream_listener(
            self, path: str | bytes, backlog: int, *, mode: int | None = None
        ) -> AsyncListener[AsyncStreamTransport]:
            return await unix.open_listener(self, path, backlog, mode)

        async def create_unix_datagram_endpoint(
            self, path: str | bytes, *, local_path: str | bytes | None = None
        ) -> AsyncDatagramTransport:
            sock = await open_connected_socket(self, _socket.SOCK_DGRAM, path, local_path)
            return AsyncioUnixDatagramTransport(self, sock)

        async def create_unix_datagram_listener(
            self, path: str | bytes, *, mode: int | None = None
        ) -> AsyncDatagramListener[str | bytes]:
            return AsyncioUnixDatagramListener(self, open_datagram_socket(path, mode))

    def _hook_listen_stream(self, socket: _socket.socket, backlog: int) -> AsyncListener[AsyncStreamTransport]:
        if _HAS_UNIX_SOCKETS and socket.family == _socket.AF_UNIX:
            return unix.new_listener(self, socket, backlog)
        return tcp.new_listener(self, socket, backlog)

    def _hook_listen_datagram(self, socket: _socket.socket) -> AsyncDatagramListener[Any]:
        if _HAS_UNIX_SOCKETS and socket.family == _socket.AF_UNIX:
            return AsyncioUnixDatagramListener(self, socket)
        return udp.new_listener(self, socket)

    async def create_udp_endpoint(
        self,
        remote_host: str,
        remote_port: int,
        *,
        local_address: tuple[str, int] | None = None,
        family: int = _socket.AF_UNSPEC,
    ) -> AsyncDatagramTransport:
        return await udp.connect(self, remote_host, remote_port, local_address, family)

    async def wrap_connected_datagram_socket(self, socket: _socket.socket) -> AsyncDatagramTransport:
        adopt_socket(socket, _socket.SOCK_DGRAM)
        if _HAS_UNIX_SOCKETS and socket.family == _socket.AF_UNIX:
            return AsyncioUnixDatagramTransport(self, socket)
        return await wrap_udp_socket(self, socket)

    async def create_udp_listeners(
        self,
        host: str | Sequence[str] | None,
        port: int,
        *,
        reuse_port: bool = False,
    ) -> Sequence[AsyncDatagramListener[tuple[Any, ...]]]:
        return await udp.open_listeners(self, host, port, reuse_port=reuse_port)
