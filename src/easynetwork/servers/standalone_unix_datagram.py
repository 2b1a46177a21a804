"""A standalone server on a Unix datagram socket, for programs without an event loop."""

from __future__ import annotations

__all__ = ["StandaloneUnixDatagramServer"]

import logging
import os
import socket as _socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.socket import UnixSocketAddress
from easynetwork.protocol import DatagramProtocol
from easynetwork.servers._standalone_datagram_server import BaseStandaloneDatagramServer
from easynetwork.servers._tally import Measurement
from easynetwork.servers._unix_files import check_unix_sockets
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer, UnnamedAddressesBehavior
from easynetwork.servers.handlers import AsyncDatagramRequestHandler
from easynetwork.servers.limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")


class StandaloneUnixDatagramServer(
    BaseStandaloneDatagramServer[AsyncUnixDatagramServer[Any, Any]], Generic[_T_Request, _T_Response]
):
    """A server on a Unix datagram socket that runs in the calling thread, on uvloop if it is installed.

    The parameters are those of `AsyncUnixDatagramServer`. `serve_forever` raises their errors, except for those listed
    here.

    Parameters:
        backend: the asynchronous backend or its name; None for asyncio.
        runner_options: keyword arguments for the runner of the event loop; see `serve_forever`.
        stop_signals: the first of these signals makes `serve_forever` drain the server and return; the second one shuts
            it down. For example ``(signal.SIGTERM, signal.SIGINT)``. The handlers are installed while `serve_forever`
            runs in the main thread, also for signals that are ignored.
        drain_timeout: maximum number of seconds to drain after a signal; None for no limit.
        sockets: serve these sockets, as `AsyncUnixDatagramServer` does. The server owns them. Each `serve_forever`
            serves duplicates of them, so they stay open until the server is closed or drained by a call.

    Raises:
        TypeError: *backend* or *sockets* has the wrong type.
        ValueError: *sockets* are not bound Unix datagram sockets, or an address or *mode* is given too.
    """

    __slots__ = ()

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        protocol: DatagramProtocol[_T_Response, _T_Request],
        request_handler: AsyncDatagramRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        runner_options: Mapping[str, Any] | None = None,
        stop_signals: Iterable[int] = (),
        drain_timeout: float | None = None,
        mode: int | None = None,
        sockets: Sequence[_socket.socket] | None = None,
        unnamed_addresses_behavior: UnnamedAddressesBehavior | None = None,
        receive_ancillary_data: bool = False,
        ancillary_bufsize: int | None = None,
        limits: ServerLimits | None = None,
        measure: Collection[Measurement] = (),
        logger: logging.Logger | None = None,
    ) -> None:
        if sockets is not None:
            sockets = check_unix_sockets(sockets, _socket.SOCK_DGRAM, path, mode)
        new_server = partial(
            AsyncUnixDatagramServer,
            path,
            protocol,
            request_handler,
            mode=mode,
            unnamed_addresses_behavior=unnamed_addresses_behavior,
            receive_ancillary_data=receive_ancillary_data,
            ancillary_bufsize=ancillary_bufsize,
            limits=limits,
            measure=measure,
            logger=logger,
        )
        super().__init__(backend, new_server, runner_options, stop_signals, drain_timeout, sockets)
