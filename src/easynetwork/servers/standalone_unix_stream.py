"""A standalone server on a Unix stream socket, for programs without an event loop."""

from __future__ import annotations

__all__ = ["StandaloneUnixStreamServer"]

import logging
import os
import socket as _socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.protocol import AnyStreamProtocolType
from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer
from easynetwork.servers._tally import Measurement
from easynetwork.servers._unix_files import check_unix_sockets
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler
from easynetwork.servers.limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")


class StandaloneUnixStreamServer(
    BaseStandaloneNetworkServer[AsyncUnixStreamServer[Any, Any]], Generic[_T_Request, _T_Response]
):
    """A server on a Unix stream socket that runs in the calling thread, on uvloop if it is installed.

    The parameters are those of `AsyncUnixStreamServer`. `serve_forever` raises their errors, except for those listed
    here.

    Parameters:
        backend: the asynchronous backend or its name; None for asyncio.
        runner_options: keyword arguments for the runner of the event loop; see `serve_forever`.
        stop_signals: the first of these signals makes `serve_forever` drain the server and return; the second one shuts
            it down. For example ``(signal.SIGTERM, signal.SIGINT)``. The handlers are installed while `serve_forever`
            runs in the main thread, also for signals that are ignored.
        drain_timeout: maximum number of seconds to drain after a signal; None for no limit.
        sockets: serve these sockets, as `AsyncUnixStreamServer` does. The server owns them. Each `serve_forever` serves
            duplicates of them, so they stay open until the server is closed or drained by a call.

    Raises:
        TypeError: *backend* or *sockets* has the wrong type.
        ValueError: *sockets* are not bound Unix stream sockets, or an address or *mode* is given too.
    """

    __slots__ = ()

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        request_handler: AsyncStreamRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        runner_options: Mapping[str, Any] | None = None,
        stop_signals: Iterable[int] = (),
        drain_timeout: float | None = None,
        backlog: int | None = None,
        mode: int | None = None,
        sockets: Sequence[_socket.socket] | None = None,
        max_recv_size: int | None = None,
        ancillary_bufsize: int | None = None,
        log_client_connection: bool | Literal["end"] | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        if sockets is not None:
            sockets = check_unix_sockets(sockets, _socket.SOCK_STREAM, path, mode, backlog)
        new_server = partial(
            AsyncUnixStreamServer,
            path,
            protocol,
            request_handler,
            backlog=backlog,
            mode=mode,
            max_recv_size=max_recv_size,
            ancillary_bufsize=ancillary_bufsize,
            log_client_connection=log_client_connection,
            limits=limits,
            measure=measure,
            logger=logger,
        )
        super().__init__(backend, new_server, runner_options, stop_signals, drain_timeout, sockets)
