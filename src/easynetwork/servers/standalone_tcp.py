"""A standalone TCP server, for programs without an event loop."""

from __future__ import annotations

__all__ = ["StandaloneTCPNetworkServer"]

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from easynetwork.lowlevel._core.tls_engine import check_ssl_context
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer
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

    Raises:
        TypeError: *backend* or *ssl* has the wrong type.
        ValueError: *ssl* is for clients only.
    """

    __slots__ = ()

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
        proxy_protocol: ProxyProtocol | None = None,
        backlog: int | None = None,
        reuse_port: bool = False,
        max_recv_size: int | None = None,
        log_client_connection: bool | None = None,
        limits: ServerLimits | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        if ssl is not None:
            check_ssl_context(ssl, server_side=True)
        new_server = partial(
            AsyncTCPNetworkServer,
            host,
            port,
            protocol,
            request_handler,
            ssl=ssl,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            ssl_standard_compatible=ssl_standard_compatible,
            proxy_protocol=proxy_protocol,
            backlog=backlog,
            reuse_port=reuse_port,
            max_recv_size=max_recv_size,
            log_client_connection=log_client_connection,
            limits=limits,
            logger=logger,
        )
        super().__init__(
            backend, lambda backend: new_server(backend=backend), runner_options, stop_signals, drain_timeout
        )
