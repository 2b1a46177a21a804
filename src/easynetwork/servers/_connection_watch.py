"""The limits that apply while a client is connected: deadlines, and memory."""

from __future__ import annotations

__all__ = ["ConnectionWatch"]

import math
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from easynetwork.lowlevel.api_async.servers.stream import ServedClient
from easynetwork.lowlevel.api_async.transports._hooks import buffered_bytes
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

from .limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_LOOKS_PER_TURN: Final = 256
"""Number of connections to look at before other tasks and callbacks run."""


class _Clocks:
    """When the clocks of a connection have started, as far as the watch has seen it. Infinity if one is stopped."""

    __slots__ = ("begun", "closing", "packets", "sending", "sent", "since")

    def __init__(self, now: float) -> None:
        self.packets = 0  # number of packets when the watch last looked
        self.since = now  # the beginning of the connection, the last packet, or when the handler was last busy
        self.begun = math.inf  # the first byte of an incomplete packet
        self.sent = 0  # number of bytes that were sent when the watch last looked
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
        self._first_packet = _seconds(limits.first_packet_timeout)
        self._packet = _seconds(limits.packet_timeout)
        self._idle = _seconds(limits.idle_timeout)
        self._send = _seconds(limits.send_timeout)
        self._close = _seconds(limits.close_timeout)
        self._bytes_per_peer = _seconds(limits.buffered_bytes_per_peer)
        self._bytes = _seconds(limits.buffered_bytes)
        self._counts_bytes = min(self._send, self._bytes_per_peer, self._bytes) < math.inf
        self._clocks: dict[ServedClient[Any], _Clocks] = {}
        self.shortest: Final = min(self._first_packet, self._packet, self._idle, self._send, self._close)
        """The shortest time limit, in seconds."""
        self.is_needed: Final = self._counts_bytes or self.shortest < math.inf
        """Whether any of the limits applies to connections."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no connection to look at."""
        return not self._clocks

    def add(self, client: ServedClient[Any]) -> None:
        if self.is_needed:
            self._clocks[client] = _Clocks(self._backend.current_time())
            self._has_clients()

    def remove(self, client: ServedClient[Any]) -> None:
        self._clocks.pop(client, None)

    async def look(self) -> None:
        """Look at all connections, and end those that are over a limit."""
        sizes: list[tuple[int, ServedClient[Any]]] = []
        for number, (client, clocks) in enumerate(tuple(self._clocks.items()), 1):
            if client not in self._clocks:  # it has left meanwhile
                continue
            size, limit = self._look_at(client, clocks, self._backend.current_time())
            if limit is not None:
                await self._end(client, limit)
            elif size:
                sizes.append((size, client))
            if number % _LOOKS_PER_TURN == 0:
                await self._backend.coro_yield()
        await self._free(sizes)

    def _look_at(self, client: ServedClient[Any], clocks: _Clocks, now: float) -> tuple[int, str | None]:
        """Return the number of buffered bytes of *client*, and the name of the limit that it is over, or None."""
        received = unsent = sent = 0
        if self._counts_bytes:
            received, unsent, sent = buffered_bytes(client._transport)
        size = received + unsent + client._dispatcher.pending
        if client.is_closing():
            clocks.closing = min(clocks.closing, now)
            return size, "close_timeout" if now - clocks.closing >= self._close else None
        if not unsent or sent != clocks.sent:
            clocks.sent = sent
            clocks.sending = now
        elif now - clocks.sending >= self._send:
            return size, "send_timeout"
        if size > self._bytes_per_peer:
            return size, "buffered_bytes_per_peer"
        return size, self._look_at_requests(client, clocks, now)

    def _look_at_requests(self, client: ServedClient[Any], clocks: _Clocks, now: float) -> str | None:
        dispatcher = client._dispatcher
        if not dispatcher.awaits_request(client._driver.requests):  # its handler is busy
            clocks.since, clocks.begun = now, math.inf
            return None
        is_partial = dispatcher.pending > 0
        if clocks.packets != dispatcher.packets:
            clocks.packets = dispatcher.packets
            clocks.since, clocks.begun = now, math.inf
        if not is_partial:
            clocks.begun = math.inf
        elif now - (begun := min(clocks.begun, now)) >= self._packet:
            return "packet_timeout"
        else:
            clocks.begun = begun
        silence = now - clocks.since
        if not clocks.packets and silence >= self._first_packet:
            return "first_packet_timeout"
        if not is_partial and silence >= self._idle and not dispatcher.is_draining:
            return "idle_timeout"
        return None

    async def _end(self, client: ServedClient[Any], limit: str) -> None:
        self._count(limit)
        if limit == "idle_timeout":
            client.drain()
        else:
            client._dispatcher.cut(f"over the limit {limit!r}")
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
            await self._end(client, "buffered_bytes")


def _seconds(limit: float | None) -> float:
    return math.inf if limit is None else limit
