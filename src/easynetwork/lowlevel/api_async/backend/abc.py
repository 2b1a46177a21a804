"""The bridge to one asynchronous library. Clients, servers and transports use nothing else of it."""

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
    """A mutual exclusion lock between tasks. Not reentrant, not for threads."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None, /
    ) -> Literal[False] | None: ...

    async def acquire(self) -> Any:
        """Waits until the lock is free, and takes it."""
        raise NotImplementedError

    def release(self) -> None:
        """Gives the lock back. Raises `RuntimeError` if it is not taken."""
        raise NotImplementedError

    def locked(self) -> bool:
        """Returns whether the lock is taken."""
        raise NotImplementedError


class IEvent(Protocol):
    """Something that happens once."""

    async def wait(self) -> Any:
        """Waits until the event is set."""
        raise NotImplementedError

    def set(self) -> None:
        """Sets the event, for ever. Idempotent."""
        raise NotImplementedError

    def is_set(self) -> bool:
        """Returns whether the event is set."""
        raise NotImplementedError


class ICondition(ILock, Protocol):
    """A condition variable: a lock, and a way to wait for a notification while it is released."""

    def notify(self, n: int = ..., /) -> None:
        """Wakes *n* waiting tasks. Raises `RuntimeError` if the lock is not taken."""
        raise NotImplementedError

    def notify_all(self) -> None:
        """Wakes all waiting tasks. Raises `RuntimeError` if the lock is not taken."""
        raise NotImplementedError

    async def wait(self) -> Any:
        """Releases the lock, waits for a notification, takes the lock again.

        Raises `RuntimeError` if it is not taken.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What is known of a task. Compared by `id` only."""

    id: int
    """Unique among the tasks that exist."""

    name: str = field(compare=False)
    """What the task is called."""

    coro: Coroutine[Any, Any, Any] | None = field(compare=False, repr=False)
    """What the task runs."""

    def __hash__(self) -> int:
        return hash(self.id)


class Task(Generic[_T_co], metaclass=ABCMeta):
    """A task of a `TaskGroup`."""

    __slots__ = ("__weakref__",)

    @property
    @abstractmethod
    def info(self) -> TaskInfo:
        """What is known of the task."""
        raise NotImplementedError

    @abstractmethod
    def done(self) -> bool:
        """Returns whether the task has ended."""
        raise NotImplementedError

    @abstractmethod
    def cancel(self) -> bool:
        """Asks the task to end. Returns false if it has ended already."""
        raise NotImplementedError

    @abstractmethod
    def cancelled(self) -> bool:
        """Returns whether the task has ended because it was cancelled."""
        raise NotImplementedError

    @abstractmethod
    async def wait(self) -> None:
        """Waits until the task has ended, however it did."""
        raise NotImplementedError

    @abstractmethod
    async def join(self) -> _T_co:
        """Waits for the result of the task. Its exception, or its cancellation, is raised here.

        If this call is cancelled, the task goes on.
        """
        raise NotImplementedError

    @abstractmethod
    async def join_or_cancel(self) -> _T_co:
        """Like `join`, but if this call is cancelled, so is the task, and its end is waited for."""
        raise NotImplementedError


class TaskGroup(metaclass=ABCMeta):
    """Tasks that end before the ``async with`` block does.

    The failure of one cancels all others; the failures are raised together as an exception group. An exception of the
    block alone is raised as it is.

    On asyncio, one task may enter a group and another one may leave it, as test fixtures and exit stacks do. The task
    that leaves waits for the tasks of the group and gets their failures. Leaving does not cancel the task that has
    entered. On trio, one task does both.
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
        """Has ``coro_func(*args)`` run in a new task.

        Raises:
            RuntimeError: the group was not entered, or has ended.
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
        """Like `start_soon`, and waits until the task has begun. If this call is cancelled, so is the task.

        Raises:
            RuntimeError: the group was not entered, or has ended.
        """
        raise NotImplementedError


class CancelScope(metaclass=ABCMeta):
    """A part of a task that can be cancelled on its own: a synchronous context manager.

    Cancellation is level triggered: in a cancelled scope, each wait raises it again until the scope is left.
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
        """Asks everything in the scope to end. Idempotent; before the scope is entered, it takes effect on entry."""
        raise NotImplementedError

    @abstractmethod
    def cancel_called(self) -> bool:
        """Returns whether `cancel` was called or the deadline has passed."""
        raise NotImplementedError

    @abstractmethod
    def cancelled_caught(self) -> bool:
        """Returns whether the scope was left by its own cancellation."""
        raise NotImplementedError

    @abstractmethod
    def when(self) -> float:
        """Returns the deadline, on the clock of `AsyncBackend.current_time`; infinity if there is none."""
        raise NotImplementedError

    @abstractmethod
    def reschedule(self, when: float, /) -> None:
        """Sets the deadline. Raises `ValueError` for NaN."""
        raise NotImplementedError

    @property
    def deadline(self) -> float:
        """The deadline. Deleting it removes it."""
        return self.when()

    @deadline.setter
    def deadline(self, value: float) -> None:
        self.reschedule(value)

    @deadline.deleter
    def deadline(self) -> None:
        self.reschedule(math.inf)


class ThreadsPortal(metaclass=ABCMeta):
    """A way into the event loop for other threads, open while in its ``async with`` block."""

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

        Cancelling the future cancels the task, at its first suspension if it has not begun. On asyncio this is one
        cancellation, as that of `asyncio.Task.cancel`. What the task returns after that is dropped. An exception is
        reported to the exception handler of the event loop on asyncio, and logged on trio.

        Raises:
            RuntimeError: the portal is closed, or this is the thread of the event loop.
        """
        raise NotImplementedError

    def run_coroutine(self, coro_func: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Like `run_coroutine_soon`, and waits for the result."""
        return self.run_coroutine_soon(coro_func, *args, **kwargs).result()

    @abstractmethod
    def run_sync_soon(
        self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> concurrent.futures.Future[_T]:
        """Has ``func(*args, **kwargs)`` called in the thread of the event loop.

        Raises:
            RuntimeError: the portal is closed, or this is the thread of the event loop.
        """
        raise NotImplementedError

    def run_sync(self, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Like `run_sync_soon`, and waits for the result."""
        return self.run_sync_soon(func, *args, **kwargs).result()


class AsyncBackend(metaclass=ABCMeta):
    """One asynchronous library. Objects are cheap and keep no state."""

    __slots__ = ("__weakref__",)

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
        """Runs ``coro_func(*args)`` in a new event loop and returns its result. Called where none is running.

        Parameters:
            coro_func: what to run.
            args: its arguments.
            runner_options: keyword arguments for what runs the event loop.
        """
        raise NotImplementedError

    @abstractmethod
    async def coro_yield(self) -> None:
        """Lets other tasks run. May be cancelled."""
        raise NotImplementedError

    @abstractmethod
    async def cancel_shielded_coro_yield(self) -> None:
        """Lets other tasks run. A cancellation that arrives meanwhile is delivered at the next wait after it."""
        raise NotImplementedError

    @abstractmethod
    def get_cancelled_exc_class(self) -> type[BaseException]:
        """Returns the exception that is raised in a cancelled task."""
        raise NotImplementedError

    def _is_cancellation(self, exc: BaseException) -> bool:
        """Return whether *exc*, raised in the current task, comes from a cancellation of this very task.

        The exception of another task that was cancelled has the same type. By default, the type decides.
        """
        return isinstance(exc, self.get_cancelled_exc_class())

    def _is_cancelled(self) -> bool:
        """Return whether the current task is cancelled, and is to begin nothing new. By default, nothing is known."""
        return False

    @abstractmethod
    async def ignore_cancellation(self, coroutine: Awaitable[_T_co]) -> _T_co:
        """Awaits *coroutine*, in this task, to its end, whatever is cancelled meanwhile.

        A cancellation that arrived is delivered at the next suspension of the task after it: a task that ends without
        another one keeps its result.
        """
        raise NotImplementedError

    @abstractmethod
    def open_cancel_scope(self, *, deadline: float = math.inf) -> CancelScope:
        """Returns a new scope. Raises `ValueError` if *deadline* is NaN."""
        raise NotImplementedError

    def move_on_after(self, delay: float) -> CancelScope:
        """Returns a new scope that is cancelled after *delay* seconds."""
        return self.open_cancel_scope(deadline=self.current_time() + delay)

    def move_on_at(self, deadline: float) -> CancelScope:
        """Returns a new scope that is cancelled at *deadline*."""
        return self.open_cancel_scope(deadline=deadline)

    def timeout(self, delay: float) -> AbstractContextManager[CancelScope]:
        """Returns a context manager that raises `TimeoutError` if its block takes more than *delay* seconds."""
        return _timeout_scope(self.move_on_after(delay))

    def timeout_at(self, deadline: float) -> AbstractContextManager[CancelScope]:
        """Returns a context manager that raises `TimeoutError` if its block takes longer than until *deadline*."""
        return _timeout_scope(self.move_on_at(deadline))

    @abstractmethod
    def current_time(self) -> float:
        """Returns the time on the clock of the event loop, in seconds."""
        raise NotImplementedError

    @abstractmethod
    async def sleep(self, delay: float) -> None:
        """Waits for *delay* seconds; with 0, lets other tasks run."""
        raise NotImplementedError

    @abstractmethod
    async def sleep_forever(self) -> NoReturn:
        """Waits until cancelled."""
        raise NotImplementedError

    async def sleep_until(self, deadline: float) -> None:
        """Waits until *deadline*; lets other tasks run if that has passed."""
        await self.sleep(max(deadline - self.current_time(), 0))

    # --------------------------------------------------------------------------------------------------------- tasks

    @abstractmethod
    def create_task_group(self) -> TaskGroup:
        """Returns a new task group, to be entered."""
        raise NotImplementedError

    @abstractmethod
    def get_current_task(self) -> TaskInfo:
        """Returns what is known of the current task."""
        raise NotImplementedError

    async def gather(self, *coroutines: Awaitable[_T_co]) -> list[_T_co]:
        """Awaits all *coroutines* at the same time; returns their results in order. One given twice is awaited once.

        Raises:
            ExceptionGroup: some have failed; the others were cancelled.
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
            for awaitable in waiting.values():  # cancelled before they have begun
                if isinstance(awaitable, Coroutine):
                    awaitable.close()
        return [results[id(awaitable)] for awaitable in coroutines]

    # ----------------------------------------------------------------------------------------------- synchronization

    @abstractmethod
    def create_lock(self) -> ILock:
        """Returns a new lock."""
        raise NotImplementedError

    def create_fair_lock(self) -> ILock:
        """Returns a new lock that is given strictly in the order in which it was asked for."""
        from ._fair_lock import FairLock

        return FairLock(self)

    @abstractmethod
    def create_event(self) -> IEvent:
        """Returns a new event."""
        raise NotImplementedError

    @abstractmethod
    def create_condition_var(self, lock: ILock | None = None) -> ICondition:
        """Returns a new condition variable, with a lock of its own if None. Raises `TypeError` for a foreign *lock*."""
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
        """Calls ``func(*args)`` in another thread, with a copy of the context variables.

        Parameters:
            func: what to call.
            args: its arguments.
            abandon_on_cancel: if cancelled, leave the thread alone instead of waiting for it.
        """
        raise NotImplementedError

    @abstractmethod
    def create_threads_portal(self) -> ThreadsPortal:
        """Returns a new portal, to be entered."""
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
        """As `socket.getaddrinfo`, in a thread. If cancelled, the thread is left alone."""
        return await self.run_in_thread(
            _socket.getaddrinfo, host, port, family, type, proto, flags, abandon_on_cancel=True
        )

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int = 0
    ) -> tuple[str, str]:
        """As `socket.getnameinfo`, in a thread. If cancelled, the thread is left alone."""
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
        """Connects to the first address of *host* that answers (:rfc:`8305`, Happy Eyeballs).

        Parameters:
            host: a name or an address.
            port: the port.
            local_address: what to bind the socket to.
            happy_eyeballs_delay: seconds before the next address is tried as well; 0.25 if None.

        Raises:
            ExceptionGroup: the `OSError` of each address; none could be connected to.
            socket.gaierror: *host* is unknown.
        """
        raise NotImplementedError

    async def create_unix_stream_connection(
        self, path: str | bytes, *, local_path: str | bytes | None = None
    ) -> AsyncStreamTransport:
        """Connects to a Unix stream socket. Its transport carries ancillary data.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux).
            local_path: what to bind the socket to; an empty one has the system choose a name (Linux). None leaves it
                unnamed.

        Raises:
            OSError: nobody listens there (``ENOENT``, ``ECONNREFUSED``), or *local_path* cannot be bound to.
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
        """Makes a datagram socket that talks to one address."""
        raise NotImplementedError

    async def create_unix_datagram_endpoint(
        self, path: str | bytes, *, local_path: str | bytes | None = None
    ) -> AsyncDatagramTransport:
        """Makes a Unix datagram socket that talks to one path. It carries ancillary data.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux).
            local_path: what to bind the socket to; an empty one has the system choose a name (Linux). None leaves it
                unnamed: it cannot be answered.

        Raises:
            OSError: nobody is there (``ENOENT``, ``ECONNREFUSED``), or *local_path* cannot be bound to.
        """
        raise NotImplementedError("Unix sockets are not supported by this backend")

    @abstractmethod
    async def wrap_stream_socket(self, socket: _socket.socket) -> AsyncStreamTransport:
        """Takes over a connected stream socket.

        Raises:
            TypeError: it is a TLS socket.
            ValueError: it is no stream socket.
        """
        raise NotImplementedError

    @abstractmethod
    async def wrap_connected_datagram_socket(self, socket: _socket.socket) -> AsyncDatagramTransport:
        """Takes over a connected datagram socket.

        Raises:
            ValueError: it is no datagram socket.
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
        """Opens listening sockets for all addresses of *host*.

        Parameters:
            host: one or more names or addresses; all interfaces if None or empty. Addresses that this host does not
                have are skipped if the same name has another one.
            port: the port; 0 for a free one per socket.
            backlog: how many connections may wait to be accepted.
            reuse_port: let others bind to the same port.

        Raises:
            ExceptionGroup: some address could not be bound to, or some host is unknown. No socket stays open.
            ValueError: *backlog* is not strictly positive; *reuse_port* is not supported.
        """
        raise NotImplementedError

    async def create_unix_stream_listener(
        self, path: str | bytes, backlog: int, *, mode: int | None = None
    ) -> AsyncListener[AsyncStreamTransport]:
        """Opens a listening Unix stream socket. The transports of its connections carry ancillary data.

        The file of a server that has died is taken over. Closing the listener does not delete the file.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux); an empty one has the system choose a name (Linux).
            backlog: how many connections may wait to be accepted.
            mode: permissions of the socket file; None for what the umask of the process leaves.

        Raises:
            OSError: *path* is in use (``EADDRINUSE``), or cannot be made. Nothing stays open, no file is left.
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
        """Opens datagram sockets for all addresses of *host*."""
        raise NotImplementedError

    async def create_unix_datagram_listener(
        self, path: str | bytes, *, mode: int | None = None
    ) -> AsyncDatagramListener[str | bytes]:
        """Opens a Unix datagram socket that receives from anyone. It carries ancillary data.

        The file of a socket that is gone is taken over. Closing the listener does not delete the file.

        Parameters:
            path: a raw address: a path, or an abstract name (Linux); an empty one has the system choose a name (Linux).
            mode: permissions of the socket file; None for what the umask of the process leaves.

        Raises:
            OSError: *path* is in use (``EADDRINUSE``), or cannot be made. Nothing stays open, no file is left.
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
