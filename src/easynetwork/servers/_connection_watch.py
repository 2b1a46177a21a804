"""The limits that apply while a client is connected: deadlines, and memory."""

from __future__ import annotations

__all__ = ["ConnectionWatch"]

import math
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from easynetwork._checks import seconds
from easynetwork.lowlevel._core.stream_dispatch import Watched
from easynetwork.lowlevel._sockets.calls import sending_position
from easynetwork.lowlevel.api_async.servers.stream import ServedClient
from easynetwork.lowlevel.api_async.transports._hooks import buffered_bytes
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAttribute

from .limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_LOOKS_PER_TURN: Final = 256
"""Number of connections to look at before other tasks and callbacks run."""


class _Clocks(Watched):
    """When the clocks of a connection have started, as far as the watch has seen it. Infinity if one stands still."""

    __slots__ = ("begun", "closing", "has_begun_talking", "position", "sending", "since")

    def __init__(self, handshake_timeout: float | None, now: float) -> None:
        super().__init__(handshake_timeout)
        self.has_begun_talking = False  # whether the first packet has been handled
        self.since = now  # the beginning of the connection, the last packet, or when the handler was last busy
        self.begun = math.inf  # the first byte of an incomplete packet
        self.position: object = None  # how much was sent, while some bytes wait
        self.sending = math.inf  # when bytes were last sent, while some wait
        self.closing = math.inf  # the beginning of the close


class ConnectionWatch:
    """Ends the connections of a server that are over its limits.

    Parameters:
        limits: those of the server.
        backend: the asynchronous backend.
        count: called with the name of the limit that a connection was over.
        has_clients: called when there is a connection to look at.
    """

    def __init__(
        self,
        limits: ServerLimits,
        backend: AsyncBackend,
        count: Callable[[str], object],
        has_clients: Callable[[], object],
    ) -> None:
        self._backend = backend
        self._count = count
        self._has_clients = has_clients
        self._first_packet = seconds(limits.first_packet_timeout)
        self._packet = seconds(limits.packet_timeout)
        self._idle = seconds(limits.idle_timeout)
        self._send = seconds(limits.send_timeout)
        self._close = seconds(limits.close_timeout)
        self._bytes_per_peer = limits.buffered_bytes_per_peer or math.inf
        self._bytes = limits.buffered_bytes or math.inf
        self._handshake_timeout = limits.handshake_timeout
        self._counts_bytes = min(self._send, self._bytes_per_peer, self._bytes) < math.inf
        self._clocks: dict[ServedClient[Any], _Clocks] = {}
        self.shortest: Final = min(self._first_packet, self._packet, self._idle, self._send, self._close)
        """The shortest time limit, in seconds."""
        self.is_needed: Final = self._counts_bytes or self.shortest < math.inf or limits.handshake_timeout is not None
        """Whether any of the limits applies to connections."""

    @property
    def is_empty(self) -> bool:
        """Whether no connection is watched."""
        return not self._clocks

    def add(self, client: ServedClient[Any]) -> None:
        self._clocks[client] = clocks = _Clocks(self._handshake_timeout, self._backend.current_time())
        client._dispatcher.watched = clocks
        client._dispatcher.look_for_packet(clocks)
        self._has_clients()

    async def look(self) -> None:
        """Look at all connections, and end those that are over a limit."""
        sizes: list[tuple[int, ServedClient[Any]]] = []
        for number, (client, clocks) in enumerate(tuple(self._clocks.items()), 1):
            if clocks.is_over:
                del self._clocks[client]
            elif not clocks.cut_by:
                size, unsent = self._count_bytes(client)
                limit = self._limit_exceeded(client, clocks, self._backend.current_time(), size, unsent)
                if limit is not None:
                    await self._end(client, clocks, limit)
                elif size:
                    sizes.append((size, client))
            if number % _LOOKS_PER_TURN == 0:
                await self._backend.coro_yield()
        await self._free(sizes)

    def _count_bytes(self, client: ServedClient[Any]) -> tuple[int, int]:
        """Return how many bytes are buffered for *client*, and how many of them are to be sent."""
        if not self._counts_bytes:
            return 0, 0
        received, unsent = buffered_bytes(client._transport)
        return received + client._dispatcher.pending + unsent, unsent

    def _limit_exceeded(
        self, client: ServedClient[Any], clocks: _Clocks, now: float, size: int, unsent: int
    ) -> str | None:
        """Return the name of the limit that *client* is over, or None."""
        if client.is_closing():
            clocks.closing = min(clocks.closing, now)
            return "close_timeout" if now - clocks.closing >= self._close else None
        if unsent and self._send < math.inf:
            sock = client._transport.extra(SocketAttribute.socket, None)
            position = unsent if sock is None else sending_position(sock, unsent)
            if position != clocks.position:
                clocks.position, clocks.sending = position, now
            elif now - clocks.sending >= self._send:
                return "send_timeout"
        else:
            clocks.position = None
        if size > self._bytes_per_peer:
            return "buffered_bytes_per_peer"
        return self._time_exceeded(client, clocks, now)

    def _time_exceeded(self, client: ServedClient[Any], clocks: _Clocks, now: float) -> str | None:
        """Return the name of the time limit for receiving that *client* is over, or None."""
        dispatcher = client._dispatcher
        if dispatcher.is_draining:
            return None
        has_packet, clocks.has_packet = clocks.has_packet, False
        dispatcher.look_for_packet(clocks)
        is_waiting = dispatcher.awaits_request(client._driver.requests)
        if has_packet or not is_waiting:
            clocks.has_begun_talking |= has_packet
            clocks.since, clocks.begun = now, math.inf
        if not is_waiting:
            return None
        if not dispatcher.pending:
            clocks.begun = math.inf
        elif now - (begun := min(clocks.begun, now)) >= self._packet:
            return "packet_timeout"
        else:
            clocks.begun = begun
        silence = now - clocks.since
        if not clocks.has_begun_talking and silence >= self._first_packet:
            return "first_packet_timeout"
        if not dispatcher.pending and silence >= self._idle:
            return "idle_timeout"
        return None

    async def _end(self, client: ServedClient[Any], clocks: _Clocks, limit: str) -> None:
        self._count(limit)
        if limit == "idle_timeout":
            client.drain()
        else:
            clocks.cut_by = limit
            client._dispatcher.stop()
            await aclose_forcefully(client._transport)

    async def _free(self, sizes: list[tuple[int, ServedClient[Any]]]) -> None:
        """End the connections with most bytes until the others have few enough."""
        total = sum(size for size, _ in sizes)
        if total <= self._bytes:
            return
        sizes.sort(key=itemgetter(0))
        while total > self._bytes:
            size, client = sizes.pop()
            total -= size
            await self._end(client, self._clocks[client], "buffered_bytes")
