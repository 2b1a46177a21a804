"""The result of draining a server, and the wait until no connection or datagram waits in its sockets."""

from __future__ import annotations

__all__ = ["DrainReport"]

import select
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from easynetwork.lowlevel.socket import SocketAttribute

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
    from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport


class DrainReport(NamedTuple):
    """What became of the connections of a server while it drained."""

    finished: int
    """Number of connections whose handlers finished what they had received."""
    idle: int
    """Number of connections that were closed because nothing had arrived from them."""
    cut: int
    """Number of connections that were cut at the deadline."""


async def wait_until_empty(servers: Iterable[AsyncBaseTransport], backend: AsyncBackend) -> None:
    """Wait until no connection or datagram waits in the sockets of *servers*, while these are served.

    Under load, this may never be the case: give up after a second.
    """
    sockets = [server.extra(SocketAttribute.socket) for server in servers if not server.is_closing()]
    quiet_turns = 0
    with backend.move_on_after(1):
        while quiet_turns < 2:  # two, because a loop that has just accepted may not have called the handler yet
            quiet_turns = 0 if _are_readable([sock.fileno() for sock in sockets]) else quiet_turns + 1
            await backend.coro_yield()


def _are_readable(descriptors: list[int]) -> bool:
    descriptors = [fd for fd in descriptors if fd >= 0]
    if not hasattr(select, "poll"):
        return bool(descriptors and select.select(descriptors, [], [], 0)[0])
    poll = select.poll()
    for fd in descriptors:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
