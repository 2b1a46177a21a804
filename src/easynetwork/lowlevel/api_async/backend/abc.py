"""The interface to an asynchronous library. Clients, servers and transports use only this interface."""

from __future__ import annotations

__all__ = [
    "AsyncBackend",
    "CancelScope",
    "ICondition",
    "IEvent",
    "ILock",
    "Task",
    "TaskGroup",
    "TaskInfo",
    "ThreadsPortal",
]

import concurrent.futures
import math
import socket as _socket
from abc import ABCMeta, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, ParamSpec, Protocol, TypeVar

from typing_extensions import TypeVarTuple, Unpack

from easynetwork.lowlevel._hooks import drop_overridden_hooks

from ._fair_lock import FairLock

if TYPE_CHECKING:
    from typing import Self

    from easynetwork.lowlevel.api_async.transports.abc import (
        AsyncDatagramListener,
        AsyncDatagramTransport,
        AsyncListener,
        AsyncStreamTransport,
    )

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_T_PosArgs = TypeVarTuple("_T_PosArgs")


class ILock(Protocol):
    """A mutual exclusion lock for tasks. It is neither reentrant nor thread-safe."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None, /
    ) -> Literal[False] | None: ...

    async def acquire(self) -> Any:
        """Wait until the lock is free, and acquire it."""
        raise NotImplementedError

    def release(self) -> None:
        """Release the lock. Raise `RuntimeError` if it is not held."""
        raise NotImplementedError

    def locked(self) -> bool:
        """Return whether a task holds the lock."""
        raise NotImplementedError


class IEvent(Protocol):
    """A flag that tasks can wait for. It can be set once and never cleared."""

    async def wait(self) -> Any:
        """Wait until the event is set."""
        raise NotImplementedError

    def set(self) -> None:
        """Set the event and wake all waiting tasks. Idempotent."""
        raise NotImplementedError

    def is_set(self) -> bool:
        """Return whether the event is set."""
        raise NotImplementedError


class ICondition(ILock, Protocol):
    """A condition variable: a lock, and notifications to wait for."""

    def notify(self, n: int = ..., /) -> None:
        """Wake *n* waiting tasks. Raise `RuntimeError` if the lock is not held."""
        raise NotImplementedError

    def notify_all(self) -> None:
        """Wake all waiting tasks. Raise `RuntimeError` if the lock is not held."""
        raise NotImplementedError

    async def wait(self) -> Any:
        """Release the lock, wait for a notification, and acquire the lock again.

        Raise `RuntimeError` if the lock is not held.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A description of a task. Only `id` counts in comparisons."""

    id: int
    """Unique among the existing tasks."""

    name: str = field(compare=False)
    """The name of the task."""

    coro: Coroutine[Any, Any, Any] | None = field(compare=False, repr=False)
    """The coroutine that the task runs."""

    def __hash__(self) -> int:
        return hash(self.id)


class Task(Generic[_T_co], metaclass=ABCMeta):
    """A task of a `TaskGroup`."""

    __slots__ = ("__weakref__",)

    @property
    @abstractmethod
    def info(self) -> TaskInfo:
        """A description of the task."""
        raise NotImplementedError

    @abstractmethod
    def done(self) -> bool:
        """Return whether the task has ended."""
        raise NotImplementedError

    @abstractmethod
    def cancel(self) -> bool:
        """Request the cancellation of the task. Return false if the task has already ended."""
        raise NotImplementedError

    @abstractmethod
    def cancelled(self) -> bool:
        """Return whether the task ended by cancellation."""
        raise NotImplementedError

    @abstractmethod
    async def wait(self) -> None:
        """Wait until the task has ended, however it ended. Its exception is not raised."""
        raise NotImplementedError

    @abstractmethod
    async def join(self) -> _T_co:
        """Wait for the task and return its result, or raise its exception or its cancellation.

        If this call is cancelled, the task continues.
        """
        raise NotImplementedError

    @abstractmethod
    async def join_or_cancel(self) -> _T_co:
        """Like `join`, but cancelling this call also cancels the task and waits for its end."""
        raise NotImplementedError


class TaskGroup(metaclass=ABCMeta):
    """A group of tasks that all end before the ``async with`` block does.

    If one task fails, all others are cancelled, and the failures are raised together as an exception group. If only the
    block itself fails, its exception is raised unchanged.

    On asyncio, one task may enter a group and another task may leave it, as test fixtures and exit stacks do. The task
    that leaves waits for the tasks of the group and gets their failures. Leaving does not cancel the task that entered.
    On trio, the same task must enter and leave.
    """

    __slots__ = ("__weakref__",)

    @abstractmethod
    async def __aenter__(self) -> Self:
        raise NotImplementedError

    @abstractmethod
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    @abstractmethod
    def start_soon(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        /,
        *args: *_T_PosArgs,
        name: str | None = None,
    ) -> None:
        """Run ``coro_func(*args)`` in a new task.

        Raises:
            RuntimeError: the group has not been entered, or has ended.
        """
        raise NotImplementedError

    @abstractmethod
    async def start(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        /,
        *args: *_T_PosArgs,
        name: str | None = None,
    ) -> Task[_T]:
        """Like `start_soon`, but wait until the task has started. Cancelling this call cancels the task.

        Raises:
            RuntimeError: the group has not been entered, or has ended.
        """
        raise NotImplementedError


class CancelScope(metaclass=ABCMeta):
    """A synchronous context manager whose block can be cancelled separately from the rest of the task.

    Cancellation is level-triggered: after `cancel`, every wait inside the scope raises the cancellation again.
    """

    __slots__ = ("__weakref__",)

    @abstractmethod
    def __enter__(self) -> Self:
        raise NotImplementedError

    @abstractmethod
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> bool:
        raise NotImplementedError

    @abstractmethod
    def cancel(self) -> None:
        """Cancel everything inside the scope. Idempotent. Before the scope is entered, it takes effect on entry."""
        raise NotImplementedError

    @abstractmethod
    def cancel_called(self) -> bool:
        """Return whether `cancel` was called or the deadline has passed."""
        raise NotImplementedError

    @abstractmethod
    def cancelled_caught(self) -> bool:
        """Return whether the scope's own cancellation ended its block."""
        raise NotImplementedError

    @abstractmethod
    def when(self) -> float:
        """Return the deadline in seconds, on the clock of `AsyncBackend.current_time`; infinity if there is none."""
        raise NotImplementedError

    @abstractmethod
    def reschedule(self, when: float, /) -> None:
        """Set the deadline. Raise `ValueError` for NaN."""
        raise NotImplementedError

    @property
    def deadline(self) -> float:
        """The deadline, as in `when`. Deleting the attribute removes the deadline."""
        return self.when()

    @deadline.setter
    def deadline(self, value: float) -> None:
        self.reschedule(value)

    @deadline.deleter
    def deadline(self) -> None:
        self.reschedule(math.inf)


class ThreadsPortal(metaclass=ABCMeta):
    """Lets other threads call into the event loop while its ``async with`` block runs."""

    __slots__ = ("__weakref__",)

    @abstractmethod
    async def __aenter__(self) -> Self:
        raise NotImplementedError

    @abstractmethod
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    @abstractmethod
    def run_coroutine_soon(
        self, coro_func: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        """Await ``coro_func(*args, **kwargs)`` in a new task of the event loop.

        Cancelling the future cancels the task. If the task has not started, the cancellation takes effect at its first
        suspension. On asyncio, the task is cancelled once, as by `asyncio.Task.cancel`. After the cancellation, its
        result is dropped, and its exception goes to the event loop's exception handler on asyncio, and to the log on
        trio.

        Raises:
            RuntimeError: the portal is closed, or the current thread runs the event loop.
        """
        raise NotImplementedError

    def run_coroutine(self, coro_func: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Like `run_coroutine_soon`, but wait for the result."""
        return self.run_coroutine_soon(coro_func, *args, **kwargs).result()

    @abstractmethod
    def run_sync_soon(
        self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        """Call ``func(*args, **kwargs)`` in the thread of the event loop.

        Raises:
            RuntimeError: the portal is closed, or the current thread runs the event loop.
        """
        raise NotImplementedError

    def run_sync(self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Like `run_sync_soon`, but wait for the result."""
        return self.run_sync_soon(func, *args, **kwargs).result()


class AsyncBackend(metaclass=ABCMeta):
    """An asynchronous library. Objects are cheap and stateless."""

    __slots__ = ("__weakref__",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        drop_overridden_hooks(cls)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"

    # ------------------------------------------------------------------------------------------ running and sleeping

    @abstractmethod
    def bootstrap(
        self,
        coro_func: Callable[[Unpack[_T_PosArgs]], Coroutine[Any, Any, _T]],
        *args: *_T_PosArgs,
        runner_options: Mapping[str, Any] | None = None,
    ) -> _T:
        """Run ``coro_func(*args)`` in a new event loop and return its result.

        Parameters:
            coro_func: the coroutine function to run.
            args: its positional arguments.
            runner_options: keyword arguments for the library's runner.

        Raises:
            RuntimeError: an event loop is running in this thread.
        """
        raise NotImplementedError

    @abstractmethod
    async def coro_yield(self) -> None:
        """Let other tasks run. Raise the cancellation if the task is cancelled."""
        raise NotImplementedError

    @abstractmethod
    async def cancel_shielded_coro_yield(self) -> None:
        """Let other tasks run. A cancellation that arrives meanwhile is delivered at the task's next wait."""
        raise NotImplementedError

    @abstractmethod
    def get_cancelled_exc_class(self) -> type[BaseException]:
        """Return the exception class that cancellation raises in a task."""
        raise NotImplementedError

    @abstractmethod
    async def ignore_cancellation(self, coroutine: Awaitable[_T_co]) -> _T_co:
        """Await *coroutine* in this task until it ends, even if the task is cancelled meanwhile.

        A cancellation that arrives meanwhile is delivered at the next suspension of the task. A task that ends without
        another suspension keeps its result. Scopes of this interface that *coroutine* itself opens work. On asyncio,
        `asyncio.timeout` inside of it has no effect, because it cancels the task.
        """
        raise NotImplementedError

    @abstractmethod
    def open_cancel_scope(self, *, deadline: float = math.inf) -> CancelScope:
        """Return a new scope. *deadline* is on the clock of `current_time`. Raise `ValueError` if it is NaN."""
        raise NotImplementedError

    def move_on_after(self, delay: float) -> CancelScope:
        """Return a new scope that is cancelled after *delay* seconds."""
        return self.open_cancel_scope(deadline=self.current_time() + delay)

    def move_on_at(self, deadline: float) -> CancelScope:
        """Return a new scope that is cancelled at *deadline*."""
        return self.open_cancel_scope(deadline=deadline)

    def timeout(self, delay: float) -> AbstractContextManager[CancelScope]:
        """Return a context manager that cancels its block after *delay* seconds and then raises `TimeoutError`."""
        return _timeout_scope(self.move_on_after(delay))

    def timeout_at(self, deadline: float) -> AbstractContextManager[CancelScope]:
        """Return a context manager that cancels its block at *deadline* and then raises `TimeoutError`."""
        return _timeout_scope(self.move_on_at(deadline))

    @abstractmethod
    def current_time(self) -> float:
        """Return the time on the clock of the event loop, in seconds."""
        raise NotImplementedError

    @abstractmethod
    async def sleep(self, delay: float) -> None:
        """Wait for *delay* seconds. With 0, let other tasks run."""
        raise NotImplementedError

    @abstractmethod
    async def sleep_forever(self) -> NoReturn:
        """Wait until cancelled."""
        raise NotImplementedError

    async def sleep_until(self, deadline: float) -> None:
        """Wait until *deadline*. If it has passed, let other tasks run."""
        await self.sleep(max(deadline - self.current_time(), 0))

    # --------------------------------------------------------------------------------------------------------- tasks

    @abstractmethod
    def create_task_group(self) -> TaskGroup:
        """Return a new task group. Enter it with ``async with``."""
        raise NotImplementedError

    @abstractmethod
    def get_current_task(self) -> TaskInfo:
        """Return a description of the current task."""
        raise NotImplementedError

    async def gather(self, *coroutines: Awaitable[_T_co]) -> list[_T_co]:
        """Await all *coroutines* concurrently and return their results in order. Await duplicates only once.

        Raises:
            ExceptionGroup: at least one failed; the others were cancelled.
        """
        if not coroutines:
            return []
        waiting = {id(awaitable): awaitable for awaitable in coroutines}
        results: dict[int, _T_co] = {}

        async def run(key: int) -> None:
            results[key] = await waiting.pop(key)

        try:
            async with self.create_task_group() as group:
                for key in list(waiting):
                    group.start_soon(run, key)
        finally:
            for awaitable in waiting.values():  # cancelled before they started
                if isinstance(awaitable, Coroutine):
                    awaitable.close()
        return [results[id(awaitable)] for awaitable in coroutines]

    # ----------------------------------------------------------------------------------------------- synchronization

    @abstractmethod
    def create_lock(self) -> ILock:
        """Return a new lock."""
        raise NotImplementedError

    def create_fair_lock(self) -> ILock:
        """Return a new lock that tasks acquire strictly in the order of their calls."""
        return FairLock(self.create_event)

    @abstractmethod
    def create_event(self) -> IEvent:
        """Return a new event."""
        raise NotImplementedError

    @abstractmethod
    def create_condition_var(self, lock: ILock | None = None) -> ICondition:
        """Return a new condition variable. If *lock* is None, it creates its own.

        Raises:
            TypeError: *lock* was not created by this backend.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------- threads

    @abstractmethod
    async def run_in_thread(
        self,
        func: Callable[[Unpack[_T_PosArgs]], _T],
        /,
        *args: *_T_PosArgs,
        abandon_on_cancel: bool = False,
    ) -> _T:
        """Call ``func(*args)`` in a worker thread, with a copy of the context variables.

        Parameters:
            func: the function to call.
            args: its positional arguments.
            abandon_on_cancel: on cancellation, raise at once and let the thread finish on its own. If false, the call
                waits for the thread first.
        """
        raise NotImplementedError

    @abstractmethod
    def create_threads_portal(self) -> ThreadsPortal:
        """Return a new portal. Enter it with ``async with``."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------------- names and sockets

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Sequence[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]]:
        """Call `socket.getaddrinfo` in a thread. Cancellation does not wait for the thread."""
        return await self.run_in_thread(
            _socket.getaddrinfo, host, port, family, type, proto, flags, abandon_on_cancel=True
        )

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]:
        """Call `socket.getnameinfo` in a thread. Cancellation does not wait for the thread."""
        return await self.run_in_thread(_socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True)

    @abstractmethod
    async def create_tcp_connection(
        self,
        host: str,
        port: int,
        *,
        local_address: tuple[str, int] | None = None,
        happy_eyeballs_delay: float | None = None,
    ) -> AsyncStreamTransport:
        """Connect to the first address of *host* that answers (:rfc:`8305`, Happy Eyeballs).

        Parameters:
            host: a host name or an address.
            port: the port.
            local_address: the host and port to bind the socket to.
            happy_eyeballs_delay: seconds before the attempt at the next address starts; 0.25 if None.

        Raises:
            ExceptionGroup: no address could be connected to; contains the `OSError` of each attempt.
            socket.gaierror: *host* is unknown.
        """
        raise NotImplementedError

    async def create_unix_stream_connection(
        self, path: str | bytes, *, local_path: str | bytes | None = None
    ) -> AsyncStreamTransport:
        """Connect to a Unix stream socket. The transport carries ancillary data.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux).
            local_path: the path to bind the socket to. If empty, the system chooses an abstract name (Linux). If None,
                the socket stays unnamed.

        Raises:
            OSError: no socket listens at *path* (``ENOENT``, ``ECONNREFUSED``), or binding to *local_path* failed.
        """
        raise NotImplementedError("Unix sockets are not supported by this backend")

    @abstractmethod
    async def create_udp_endpoint(
        self,
        remote_host: str,
        remote_port: int,
        *,
        local_address: tuple[str, int] | None = None,
        family: int = _socket.AF_UNSPEC,
    ) -> AsyncDatagramTransport:
        """Open a datagram socket connected to one address.

        Parameters:
            remote_host: a host name or an address.
            remote_port: the port.
            local_address: the host and port to bind the socket to.
            family: ``AF_INET`` or ``AF_INET6``, to use only addresses of that family.

        Raises:
            ExceptionGroup: no address could be connected to; contains the `OSError` of each attempt.
            socket.gaierror: *remote_host* is unknown, or has no address of *family*.
            ValueError: *family* is not supported.
        """
        raise NotImplementedError

    async def create_unix_datagram_endpoint(
        self, path: str | bytes, *, local_path: str | bytes | None = None
    ) -> AsyncDatagramTransport:
        """Open a Unix datagram socket connected to one path. It carries ancillary data.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux).
            local_path: the path to bind the socket to. If empty, the system chooses an abstract name (Linux). If None,
                the socket stays unnamed, and the peer cannot reply.

        Raises:
            OSError: no socket is bound to *path* (``ENOENT``, ``ECONNREFUSED``), or binding to *local_path* failed.
        """
        raise NotImplementedError("Unix sockets are not supported by this backend")

    @abstractmethod
    async def wrap_stream_socket(self, socket: _socket.socket) -> AsyncStreamTransport:
        """Take over a connected stream socket.

        Raises:
            TypeError: it is a TLS socket.
            ValueError: it is not a stream socket.
        """
        raise NotImplementedError

    @abstractmethod
    async def wrap_connected_datagram_socket(self, socket: _socket.socket) -> AsyncDatagramTransport:
        """Take over a connected datagram socket.

        Raises:
            ValueError: it is not a datagram socket.
        """
        raise NotImplementedError

    @abstractmethod
    async def create_tcp_listeners(
        self,
        host: str | Sequence[str] | None,
        port: int,
        backlog: int,
        *,
        reuse_port: bool = False,
    ) -> Sequence[AsyncListener[AsyncStreamTransport]]:
        """Open listening sockets for all addresses of *host*.

        Parameters:
            host: one or more host names or addresses; None or an empty string means all interfaces. Addresses that this
                host does not have are skipped if the same name also resolves to one that it has.
            port: the port. With 0, each socket gets a free port.
            backlog: the maximum number of connections that wait to be accepted.
            reuse_port: let other sockets bind to the same port (``SO_REUSEPORT``).

        Raises:
            ExceptionGroup: an address could not be bound to, or a host is unknown. All sockets are closed.
            ValueError: *backlog* is not strictly positive; *reuse_port* is not supported.
        """
        raise NotImplementedError

    async def create_unix_stream_listener(
        self, path: str | bytes, backlog: int, *, mode: int | None = None
    ) -> AsyncListener[AsyncStreamTransport]:
        """Open a listening Unix stream socket. The transports of its connections carry ancillary data.

        A socket file left behind by a dead server is replaced. Closing the listener does not delete the file.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux). If empty, the system chooses an abstract name
                (Linux).
            backlog: the maximum number of connections that wait to be accepted.
            mode: the permissions of the socket file. If None, the umask of the process decides.

        Raises:
            OSError: *path* is in use (``EADDRINUSE``), or cannot be created. The socket is closed and no file is left.
            ValueError: *backlog* is not strictly positive.
        """
        raise NotImplementedError("Unix sockets are not supported by this backend")

    @abstractmethod
    async def create_udp_listeners(
        self,
        host: str | Sequence[str] | None,
        port: int,
        *,
        reuse_port: bool = False,
    ) -> Sequence[AsyncDatagramListener[tuple[Any, ...]]]:
        """Open datagram sockets for all addresses of *host*.

        The parameters and errors are those of `create_tcp_listeners`, without *backlog*.
        """
        raise NotImplementedError

    async def create_unix_datagram_listener(
        self, path: str | bytes, *, mode: int | None = None
    ) -> AsyncDatagramListener[str | bytes]:
        """Open a Unix datagram socket that receives from any peer. It carries ancillary data.

        A socket file left behind by a closed socket is replaced. Closing the listener does not delete the file.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux). If empty, the system chooses an abstract name
                (Linux).
            mode: the permissions of the socket file. If None, the umask of the process decides.

        Raises:
            OSError: *path* is in use (``EADDRINUSE``), or cannot be created. The socket is closed and no file is left.
        """
        raise NotImplementedError("Unix sockets are not supported by this backend")


@contextmanager
def _timeout_scope(scope: CancelScope) -> Iterator[CancelScope]:
    cancellation: BaseException | None = None
    with scope:
        try:
            yield scope
        except BaseException as exc:
            cancellation = exc
            raise
    if scope.cancelled_caught():
        raise TimeoutError("The operation took too long") from cancellation
