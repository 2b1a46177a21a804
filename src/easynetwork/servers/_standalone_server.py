"""Servers that run their own event loop."""

from __future__ import annotations

__all__ = ["BaseStandaloneNetworkServer"]

import concurrent.futures
import logging
import signal
import socket as _socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from easynetwork._checks import check_timeouts
from easynetwork.exceptions import BusyResourceError, ServerAlreadyRunning, ServerClosedError
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral, ensure_backend
from easynetwork.lowlevel.socket import SocketProxy
from easynetwork.servers._given_sockets import duplicates
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers._notifier import Notifier
from easynetwork.servers._signals import handling
from easynetwork.servers.abc import AbstractNetworkServer, SupportsEventSet
from easynetwork.servers.draining import DrainReport
from easynetwork.servers.statistics import ServerStatistics

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope, ThreadsPortal

_T_Server = TypeVar("_T_Server", bound=BaseAsyncNetworkServer[Any, Any])
_T_Result = TypeVar("_T_Result")


class _Running(NamedTuple, Generic[_T_Server]):
    """The parts of a running server that other threads use."""

    server: _T_Server
    portal: ThreadsPortal
    serving: CancelScope
    thread: int  # identifier of the event loop's thread

    def call(self, function: Callable[[], _T_Result]) -> _T_Result:
        """Call *function* in the thread of the event loop. A handler may call this from that thread too."""
        return function() if threading.get_ident() == self.thread else self.portal.run_sync(function)


class _Stopper:
    """The handler of the signals that stop a server: the first signal drains it, the second one shuts it down."""

    def __init__(
        self,
        server: BaseAsyncNetworkServer[Any, Any],
        portal: ThreadsPortal,
        serving: CancelScope,
        drain_timeout: float | None,
    ) -> None:
        self._server = server
        self._portal = portal
        self._serving = serving
        self._drain_timeout = drain_timeout
        self._is_called = False

    def __call__(self, signal_number: int, frame: object) -> None:
        # In another thread: the portal does not serve that of the event loop, where signals are handled.
        threading.Thread(target=self._stop, args=(signal.Signals(signal_number).name,), daemon=True).start()

    def _stop(self, name: str) -> None:
        is_first, self._is_called = not self._is_called, True
        with suppress(RuntimeError):  # the server has just stopped
            if is_first:
                log(self._server.logger, logging.INFO, "Draining after %s", name)
                self._portal.run_coroutine_soon(self._server.drain, self._drain_timeout)
            else:
                self._portal.run_sync_soon(self._serving.cancel)


class BaseStandaloneNetworkServer(AbstractNetworkServer, Generic[_T_Server]):
    """Base class of the standalone servers. Each `serve_forever` runs a new server in a new event loop. Thread-safe."""

    __slots__ = (
        "_backend",
        "_closed",
        "_drain_timeout",
        "_finished",
        "_given_sockets",
        "_is_shutdown_asked",
        "_last_statistics",
        "_lock",
        "_new_server",
        "_runner_options",
        "_running",
        "_stop_signals",
    )

    def __init__(
        self,
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        new_server: Callable[..., _T_Server],
        runner_options: Mapping[str, Any] | None,
        stop_signals: Iterable[int],
        drain_timeout: float | None,
        sockets: Sequence[_socket.socket] | None = None,
    ) -> None:
        check_timeouts(drain_timeout=drain_timeout)
        self._backend = ensure_backend("asyncio" if backend is None else backend)
        self._new_server = new_server  # called with *backend* and *sockets*
        if runner_options is not None and not isinstance(runner_options, Mapping):
            raise TypeError(f"'runner_options' must be a mapping or None, got {runner_options!r}")
        self._runner_options = dict(runner_options or {})
        self._lock = threading.Lock()
        self._closed = False
        self._finished: threading.Event | None = None  # set when the current serve_forever() returns
        self._is_shutdown_asked = False
        self._running: _Running[_T_Server] | None = None
        self._stop_signals = tuple(map(signal.Signals, stop_signals))
        self._drain_timeout = drain_timeout
        self._last_statistics = ServerStatistics()
        self._given_sockets = sockets  # each run serves duplicates of them

    def serve_forever(
        self,
        *,
        is_up_event: SupportsEventSet | None = None,
        runner_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Serve clients in this thread until another thread calls `shutdown`.

        If the environment names a service manager (``NOTIFY_SOCKET``), tell it when the server is ready and when it
        begins to stop. If the manager has a watchdog (``WATCHDOG_USEC``), also tell it regularly that the event loop
        runs. Exceptions of the handler's ``service_init()``, and of the tasks that it starts, propagate.

        Parameters:
            is_up_event: set once the server accepts clients.
            runner_options: keyword arguments for the runner of the event loop; see `AsyncBackend.bootstrap`. They
                override those of the constructor. uvloop is used if it is installed, unless ``loop_factory`` selects
                another event loop.

        Raises:
            ServerAlreadyRunning: another thread is serving.
            ServerClosedError: the server is closed.
            KeyboardInterrupt: Ctrl-C was pressed, and this is the main thread. The server has stopped.
            ExceptionGroup: some internet addresses could not be bound. The group contains an `OSError` for each.
            OSError: the path of a Unix socket could not be bound, or there is no address to listen on.
        """
        with self._lock:
            if self._closed:
                raise ServerClosedError("The server is closed")
            if self._finished is not None:
                raise ServerAlreadyRunning("The server is running already")
            self._finished = finished = threading.Event()
            self._is_shutdown_asked = False
        options = {**self._runner_options, **(runner_options or {})}
        try:
            # Outside the event loop: its runner must see that Ctrl-C has cancelled the main task.
            with suppress(self._backend.get_cancelled_exc_class()):
                self._backend.bootstrap(partial(self._serve, is_up_event), runner_options=options or None)
        finally:
            with self._lock:
                self._finished = None
            finished.set()

    async def _serve(self, is_up_event: SupportsEventSet | None) -> None:
        with self._lock:
            if self._must_not_serve():
                return
            server = self._new_run()
        notifier = Notifier(server.logger)
        server._begins_to_stop = notifier.stopping
        async with server, self._backend.create_threads_portal() as portal, notifier.watched(self._backend):
            # A scope, because server.shutdown() has no effect before serve_forever() has started.
            with self._backend.open_cancel_scope() as serving:
                with self._lock:
                    if self._must_not_serve():
                        return
                    self._running = _Running(server, portal, serving, threading.get_ident())
                    self._starts_serving(server)
                stopper = _Stopper(server, portal, serving, self._drain_timeout)
                try:
                    with handling(self._stop_signals, stopper), self._handling_signals(server, notifier):
                        await server.serve_forever(is_up_event=notifier.telling(is_up_event))
                finally:
                    with self._lock:
                        self._running = None
                        self._last_statistics = server.statistics()
                        self._stopped_serving(server)

    def _must_not_serve(self) -> bool:
        return self._closed or self._is_shutdown_asked

    def _new_run(self) -> _T_Server:
        if self._given_sockets is None:
            return self._new_server(backend=self._backend, sockets=None)
        sockets = duplicates(self._given_sockets)
        try:
            return self._new_server(backend=self._backend, sockets=sockets)
        except BaseException:
            for sock in sockets:
                sock.close()
            raise

    def _close(self) -> None:
        """Never serve again. Close the given sockets, but not the duplicates that a running server has.

        Call this with the lock held.
        """
        self._closed = True
        for sock in self._given_sockets or ():
            sock.close()

    def _starts_serving(self, server: _T_Server) -> None:
        """Give *server* what was set since it was made. Call this with the lock held, when calls of *server* begin."""

    def _handling_signals(self, server: _T_Server, notifier: Notifier) -> AbstractContextManager[None]:
        """Handle other signals than those that stop the server, while *server* serves. *notifier* tells of them."""
        return nullcontext()

    def _stopped_serving(self, server: _T_Server) -> None:
        """Save the values that must outlive *server*. Call this with the lock held, when queries of *server* end."""

    def is_serving(self) -> bool:
        return self._ask(lambda running: running.call(running.server.is_serving), False)

    def shutdown(self, timeout: float | None = None) -> None:
        """Stop `serve_forever` from another thread, and wait at most *timeout* seconds until it has returned.

        None means no time limit. The server cancels its handlers and closes their connections abruptly.
        """
        with self._lock:
            finished = self._finished
            if finished is None:
                return
            self._is_shutdown_asked = True
        _ = self._ask(lambda running: running.portal.run_sync_soon(running.serving.cancel), None)
        finished.wait(timeout)

    def drain(self, timeout: float | None = None) -> DrainReport:
        """Stop gently, as `AsyncTCPNetworkServer.drain` does, and wait until `serve_forever` has returned.

        Call this from another thread than the server's. The server is closed permanently.

        Parameters:
            timeout: maximum number of seconds until the remaining handlers are cancelled; None for no limit.

        Raises:
            ValueError: *timeout* is negative or NaN.
            BusyResourceError: the server is being set up, in ``service_init()``.
        """
        check_timeouts(timeout=timeout)
        with self._lock:
            self._close()
            finished = self._finished
        report = self._ask(
            lambda running: running.portal.run_coroutine(running.server.drain, timeout), DrainReport(0, 0, 0)
        )
        if finished is not None:
            finished.wait()
        return report

    def statistics(self) -> ServerStatistics:
        """Return a snapshot of the counters of the current run, or of the last one. Thread-safe."""
        current = self._ask(lambda running: running.call(running.server.statistics), None)
        return self._last_statistics if current is None else current

    def is_draining(self) -> bool:
        """Return whether `drain` was called, and `serve_forever` has not returned yet."""
        return self._ask(lambda running: running.call(running.server.is_draining), False)

    def server_close(self) -> None:
        """Close the server permanently, with the sockets given to it. Connected clients are served until they leave.

        Raises:
            BusyResourceError: the server is being set up, in ``service_init()``. It continues, but cannot run again.
        """
        with self._lock:
            self._close()
        self._ask(lambda running: running.portal.run_coroutine(running.server.server_close), None)

    def get_addresses(self) -> Sequence[Any]:
        """Return the addresses of the open sockets; none while the server is not running."""
        return self._ask(lambda running: running.call(running.server.get_addresses), ())

    def get_sockets(self) -> Sequence[SocketProxy]:
        """Return a view of each open socket; none while the server is not running.

        Its calls run in the thread of the server, and raise `RuntimeError` after the server has stopped.
        """

        def get(running: _Running[Any]) -> Sequence[SocketProxy]:
            sockets = running.call(running.server.get_sockets)
            return tuple(SocketProxy(sock, runner=running.portal.run_sync) for sock in sockets)

        return self._ask(get, ())

    def _ask(self, question: Callable[[_Running[_T_Server]], _T_Result], default: _T_Result) -> _T_Result:
        with self._lock:
            running = self._running
        if running is None:
            return default
        # The event loop may end at any time.
        try:
            return question(running)
        except BusyResourceError:
            raise
        except (RuntimeError, concurrent.futures.CancelledError):
            return default
