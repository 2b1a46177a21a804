"""The contract between dispatchers and drivers.

A dispatcher is a coroutine without I/O. It *yields what it requires*, and a driver *resumes it with that*. A driver is
a loop over these requirements: inline in a callback of the event loop, or around the calls of a transport. The two
share no state. Whatever else a dispatcher yields comes from a handler that awaits something; the driver passes it on to
the event loop.

====================  =============================================================================================
yielded               resumed with
====================  =============================================================================================
`BYTES`               what was received, as ``recv()`` or ``recv_into()`` return it: ``bytes``, or the number of
                      bytes in the dispatcher's buffer. Empty at the end of the stream.
a `Wait`              the same; None once `Wait.timeout` is over. If it asks for ancillary data, a pair: the bytes
                      and the ancillary data of one read.
`MORE`                the same as for the last `Wait`, whose time goes on.
`DATAGRAM`            a datagram; None once no more will come.
`IDLE`                the first datagram for the next handler.
`TURN`                None, after everything else had its turn. A driver that has just given it may go on at once.
====================  =============================================================================================

In the place of any of these, a driver throws the error that ended the wait: that of the connection, a cancellation.
"""

from __future__ import annotations

__all__ = ["BYTES", "DATAGRAM", "IDLE", "MORE", "STEPS_PER_TURN", "TURN", "Wait"]

import enum
from typing import Final

from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams


class _Requirement(enum.Enum):
    BYTES = "bytes of the stream"
    MORE = "more bytes, in what is left of the same time"
    DATAGRAM = "a datagram"
    IDLE = "nothing: the handler has ended"
    TURN = "a turn for everything else"


# Constants: looking up a member of an enumeration costs as much as a function call.
BYTES: Final = _Requirement.BYTES
MORE: Final = _Requirement.MORE
DATAGRAM: Final = _Requirement.DATAGRAM
IDLE: Final = _Requirement.IDLE
TURN: Final = _Requirement.TURN

STEPS_PER_TURN: Final = 64
"""Number of steps that a connection, a listener or a task takes before everything else gets its turn.

One step handles a packet or an error, reads once, or accepts one connection.
"""


class Wait:
    """A limited or special wait for bytes.

    Parameters:
        timeout: the longest time to wait, in seconds; None for ever.
        ancillary: if given, the bytes are received in one read, together with ancillary data.
    """

    __slots__ = ("ancillary", "timeout")

    def __init__(self, timeout: float | None, ancillary: RecvAncillaryDataParams | None = None) -> None:
        self.timeout: Final = timeout
        self.ancillary: Final = ancillary

    def as_yielded(self) -> float | RecvParams | None:
        """Return what a handler yields to wait like this."""
        if self.ancillary is None:
            return self.timeout
        return RecvParams(timeout=self.timeout, recv_with_ancillary=self.ancillary)
