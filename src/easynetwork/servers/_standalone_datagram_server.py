"""What the standalone servers of datagrams share: the number of datagrams that were lost."""

from __future__ import annotations

__all__ = ["BaseStandaloneDatagramServer"]

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer
from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Server = TypeVar("_T_Server", bound=BaseAsyncDatagramServer[Any, Any, Any])


class BaseStandaloneDatagramServer(BaseStandaloneNetworkServer[_T_Server]):
    """Adds up the datagrams that were lost while the server ran, each time."""

    __slots__ = ("_dropped",)

    def __init__(
        self,
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None,
        new_server: Callable[[AsyncBackend], _T_Server],
        runner_options: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(backend, new_server, runner_options)
        self._dropped = 0  # by the servers of earlier runs

    @property
    def dropped_datagrams(self) -> int:
        """How many datagrams were received and lost, because handlers were too slow for them. Thread-safe.

        See `AsyncDatagramServer.dropped_datagrams`. The number counts all runs of the server. While the server is not
        running, it is the number at the end of the last run, or 0.
        """

        def count(server: _T_Server) -> int:
            # Both change in the thread of the event loop only, which is this one.
            return self._dropped if self._running is None else self._dropped + server.dropped_datagrams

        total = self._ask(lambda running: running.call(lambda: count(running.server)), None)
        return self._dropped if total is None else total

    def _stopped_serving(self, server: _T_Server) -> None:
        self._dropped += server.dropped_datagrams
