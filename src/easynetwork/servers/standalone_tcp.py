"""A standalone TCP server, for programs without an event loop."""

from __future__ import annotations

__all__ = ["StandaloneTCPNetworkServer"]

import logging
import signal
import socket as _socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel._core.tls_engine import check_has_certificate, check_ssl_context
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._given_sockets import check_inet_sockets
from easynetwork.servers._notifier import Notifier
from easynetwork.servers._signals import reloading_at_hangup
from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer
from easynetwork.servers._tally import Measurement
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler
from easynetwork.servers.limits import ServerLimits
from easynetwork.servers.proxy_protocol import ProxyProtocol

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")


class StandaloneTCPNetworkServer(
    BaseStandaloneNetworkServer[AsyncTCPNetworkServer[Any, Any]], Generic[_T_Request, _T_Response]
):
    """A TCP server that runs in the calling thread, on uvloop if it is installed.

    The parameters are those of `AsyncTCPNetworkServer`. `serve_forever` raises their errors, except for those listed
    here.

    Parameters:
        backend: the asynchronous backend or its name; None for asyncio.
        runner_options: keyword arguments for the runner of the event loop; see `serve_forever`.
        stop_signals: the first of these signals makes `serve_forever` drain the server and return; the second one shuts
            it down. For example ``(signal.SIGTERM, signal.SIGINT)``. The handlers are installed while `serve_forever`
            runs in the main thread, also for signals that are ignored.
        drain_timeout: maximum number of seconds to drain after a signal; None for no limit.
        ssl_reload: makes a new TLS context at each SIGHUP, for `reload_tls`. It is called in another thread, one call
            at a time. If it fails, or its context is refused, the error is logged and the old context stays. The
            handler of SIGHUP is installed while `serve_forever` runs in the main thread. Windows has no SIGHUP.
        sockets: serve these sockets, as `AsyncTCPNetworkServer` does. The server owns them. Each `serve_forever` serves
            duplicates of them, so they stay open until the server is closed or drained by a call.

    Raises:
        TypeError: *backend*, *ssl*, *ssl_reload* or *sockets* has the wrong type.
        ValueError: *ssl* is for clients only; *ssl_reload* is given without *ssl*, or with SIGHUP in *stop_signals*;
            *sockets* are not bound TCP sockets, or an address or *reuse_port* is given too.
    """

    __slots__ = ("_ssl", "_ssl_reload")

    def __init__(
        self,
        host: str | Sequence[str] | None,
        port: int,
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        runner_options: Mapping[str, Any] | None = None,
        stop_signals: Iterable[int] = (),
        drain_timeout: float | None = None,
        ssl: SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
        ssl_reload: Callable[[], SSLContext] | None = None,
        proxy_protocol: ProxyProtocol | None = None,
        backlog: int | None = None,
        reuse_port: bool = False,
        sockets: Sequence[_socket.socket] | None = None,
        max_recv_size: int | None = None,
        log_client_connection: bool | Literal["end"] | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        if ssl is not None:
            check_ssl_context(ssl, server_side=True)
        if ssl_reload is not None:
            if not callable(ssl_reload):
                raise TypeError(f"'ssl_reload' must be a function or None, got {ssl_reload!r}")
            if ssl is None:
                raise ValueError("'ssl_reload' needs 'ssl'")
            stop_signals = tuple(stop_signals)
            if getattr(signal, "SIGHUP", None) in stop_signals:
                raise ValueError("With 'ssl_reload', SIGHUP cannot be one of 'stop_signals'")
        self._ssl = ssl  # of the next server
        self._ssl_reload = ssl_reload
        if sockets is not None:
            sockets = check_inet_sockets(sockets, _socket.SOCK_STREAM, host, port, reuse_port, backlog)
        new_server = partial(
            AsyncTCPNetworkServer,
            host,
            port,
            protocol,
            request_handler,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            ssl_standard_compatible=ssl_standard_compatible,
            proxy_protocol=proxy_protocol,
            backlog=backlog,
            reuse_port=reuse_port,
            max_recv_size=max_recv_size,
            log_client_connection=log_client_connection,
            limits=limits,
            measure=measure,
            logger=logger,
        )
        super().__init__(
            backend, partial(self._make_server, new_server), runner_options, stop_signals, drain_timeout, sockets
        )

    def _make_server(
        self, new_server: Callable[..., AsyncTCPNetworkServer[Any, Any]], **options: Any
    ) -> AsyncTCPNetworkServer[Any, Any]:
        return new_server(ssl=self._ssl, **options)

    def reload_tls(self, context: SSLContext) -> None:
        """Use another TLS context from now on, as `AsyncTCPNetworkServer.reload_tls` does.

        If the server is not running, the next `serve_forever` uses it.

        Raises:
            RuntimeError: the server does not use TLS.
            TypeError: *context* is not an `ssl.SSLContext`.
            ValueError: *context* is for clients only; *context* has no certificate and needs one.
            ServerClosedError: the server is closed, and `serve_forever` has returned.
        """
        if self._ssl is None:
            raise RuntimeError("The server does not use TLS")
        check_has_certificate(context)
        with self._lock:
            if self._closed and self._finished is None:
                raise ServerClosedError("The server is closed")
            self._ssl = context
        self._ask(lambda running: running.call(partial(self._starts_serving, running.server)), None)

    def _starts_serving(self, server: AsyncTCPNetworkServer[Any, Any]) -> None:
        if self._ssl is not None:
            server._use_tls(self._ssl)  # that of the last call, if two threads reload

    def _handling_signals(
        self, server: AsyncTCPNetworkServer[Any, Any], notifier: Notifier
    ) -> AbstractContextManager[None]:
        make_context = self._ssl_reload
        if make_context is None:
            return nullcontext()

        def reload() -> None:
            with notifier.reloading():
                self.reload_tls(make_context())

        return reloading_at_hangup(reload, server.logger)
