"""The trio backend."""

from __future__ import annotations

__all__ = ["TrioBackend"]

import math
import socket as _socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, NoReturn, TypeVar

import trio
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
from .datagram.listener import TrioUnixDatagramListener
from .datagram.transport import (
    TrioDatagramTransport,
    TrioUnixDatagramTransport,
)
from .stream import tcp, unix
from .tasks.groups import TrioTaskGroup, task_info
from .tasks.scopes import TrioCancelScope, ignore_cancellation
from .tasks.threads import TrioThreadsPortal, run_in_thread

_HAS_UNIX_SOCKETS: Final = sys.platform != "win32" and hasattr(_socket, "AF_UNIX")

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T_PosArgs = TypeVarTuple("_T_PosArgs")


class TrioBackend(AsyncBackend):
    """The trio backend."""

    __slots__ = ()

    def bootstrap(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        *args: *_T_PosArgs,
        runner_options: Mapping[str, Any] | None = None,
    ) -> _T:
        """Run ``coro_func(*args)`` with `trio.run`.

        As on asyncio, Ctrl-C interrupts only the main task, at its next checkpoint, so that it can end the other tasks
        cleanly. By default, trio would interrupt any task at any point.

        Parameters:
            coro_func: the coroutine function to run.
            args: its positional arguments.
            runner_options: keyword arguments of `trio.run`.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed. Raised bare, even if nurseries have wrapped it in groups.
        """
        options = {"restrict_keyboard_interrupt_to_checkpoints": True, **(runner_options or {})}
        try:
            return trio.run(coro_func, *args, **options)
        except BaseExceptionGroup as group:
            _, others = group.split(KeyboardInterrupt)
            if others is None:
                raise KeyboardInterrupt from None
            raise

    async def coro_yield(self) -> None:
        await trio.lowlevel.checkpoint()

    async def cancel_shielded_coro_yield(self) -> None:
        await trio.lowlevel.cancel_shielded_checkpoint()

    def get_cancelled_exc_class(self) -> type[BaseException]:
        return trio.Cancelled

    def _hook_is_cancellation(self, exc: BaseException) -> bool:
        return isinstance(exc, trio.Cancelled) and self._hook_is_cancelled()

    def _hook_is_cancelled(self) -> bool:
        return trio.current_effective_deadline() == -math.inf

    async def ignore_cancellation(self, coroutine: Awaitable[_T_co]) -> _T_co:
        return await ignore_cancellation(coroutine)

    def open_cancel_scope(self, *, deadline: float = math.inf) -> CancelScope:
        return TrioCancelScope(deadline)

    def current_time(self) -> float:
        return trio.current_time()

    async def sleep(self, delay: float) -> None:
        await trio.sleep(delay)

    async def sleep_forever(self) -> NoReturn:
        await trio.sleep_forever()

    def create_task_group(self) -> TaskGroup:
        return TrioTaskGroup()

    def get_current_task(self) -> TaskInfo:
        return task_info(trio.lowlevel.current_task())

    def create_lock(self) -> ILock:
        return trio.Lock()

    def create_event(self) -> IEvent:
        return trio.Event()

    def create_condition_var(self, lock: ILock | None = None) -> ICondition:
        if lock is not None and not isinstance(lock, trio.Lock):
            raise TypeError(f"Expected a trio.Lock object, got {lock!r}")
        return trio.Condition(lock)

    async def run_in_thread(
        self,
        func: Callable[[Unpack[_T_PosArgs]], _T],
        /,
        *args: *_T_PosArgs,
        abandon_on_cancel: bool = False,
    ) -> _T:
        return await run_in_thread(partial(func, *args), abandon_on_cancel=abandon_on_cancel)

    def create_threads_portal(self) -> ThreadsPortal:
        return TrioThreadsPortal(self)

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
            return unix.TrioUnixStreamTransport(self, socket)
        return tcp.new_transport(self, socket)

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
            return TrioUnixDatagramTransport(self, sock)

        async def create_unix_datagram_listener(
            self, path: str | bytes, *, mode: int | None = None
        ) -> AsyncDatagramListener[str | bytes]:
            return TrioUnixDatagramListener(self, open_datagram_socket(path, mode))

    def _hook_listen_stream(self, socket: _socket.socket, backlog: int) -> AsyncListener[AsyncStreamTransport]:
        if _HAS_UNIX_SOCKETS and socket.family == _socket.AF_UNIX:
            return unix.new_listener(self, socket)
        return tcp.new_listener(self, socket)

    def _hook_listen_datagram(self, socket: _socket.socket) -> AsyncDatagramListener[Any]:
        if _HAS_UNIX_SOCKETS and socket.family == _socket.AF_UNIX:
            return TrioUnixDatagramListener(self, socket)
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
            return TrioUnixDatagramTransport(self, socket)
        return TrioDatagramTransport(self, socket)

    async def create_udp_listeners(
        self,
        host: str | Sequence[str] | None,
        port: int,
        *,
        reuse_port: bool = False,
    ) -> Sequence[AsyncDatagramListener[tuple[Any, ...]]]:
        return await udp.open_listeners(self, host, port, reuse_port=reuse_port)
