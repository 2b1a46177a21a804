"""The common part of the standalone datagram servers: the number of dropped datagrams."""

from __future__ import annotations

__all__ = ["BaseStandaloneDatagramServer"]

import socket as _socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer
from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Server = TypeVar("_T_Server", bound=BaseAsyncDatagramServer[Any, Any, Any])


class BaseStandaloneDatagramServer(BaseStandaloneNetworkServer[_T_Server]):
    """Base class of the standalone datagram servers. It counts the dropped datagrams over all runs of the server."""

    __slots__ = ("_dropped",)

    def __init__(
        self,
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        new_server: Callable[..., _T_Server],
        runner_options: Mapping[str, Any] | None,
        stop_signals: Iterable[int],
        drain_timeout: float | None,
        sockets: Sequence[_socket.socket] | None = None,
    ) -> None:
        super().__init__(backend, new_server, runner_options, stop_signals, drain_timeout, sockets)
        self._dropped = 0  # number of datagrams dropped in earlier runs

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams dropped because handlers were too slow. Thread-safe.

        See `AsyncDatagramServer.dropped_datagrams`. The number includes all runs of the server. While the server is not
        running, it is the number at the end of the last run, or 0.
        """

        def count(server: _T_Server) -> int:
            # Both values change only in the thread of the event loop, which runs this function.
            return self._dropped if self._running is None else self._dropped + server.dropped_datagrams

        total = self._ask(lambda running: running.call(lambda: count(running.server)), None)
        return self._dropped if total is None else total

    def _stopped_serving(self, server: _T_Server) -> None:
        self._dropped += server.dropped_datagrams
