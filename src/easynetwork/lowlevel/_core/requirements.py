"""The contract between dispatchers and drivers.

A dispatcher is a coroutine without I/O. It *yields a requirement*, and a driver *resumes it with the answer*. A driver
is a loop over the requirements. It runs in the callbacks of the event loop, or it awaits the methods of a transport.
Dispatcher and driver share no state. Any other object that a dispatcher yields comes from a handler that awaits
something, and the driver passes it on to the event loop.

====================  =============================================================================================
yielded               resumed with
====================  =============================================================================================
`BYTES`               the received bytes, as ``recv()`` or ``recv_into()`` return them: ``bytes``, or the number of
                      bytes in the dispatcher's buffer. Empty or 0 at the end of the stream. None if the driver was
                      told to look again.
`DATAGRAM`            a datagram, or `NO_MORE` if no more will arrive. From a server with ancillary data, a tuple: the
                      datagram, and its ancillary data or None.
a `Wait`              the same as for `BYTES` or `DATAGRAM`, or None after `Wait.timeout` seconds. If the wait asks for
                      ancillary data, a tuple: the bytes and the ancillary data of one read.
`MORE`                the same as for the last `Wait`. Its timeout keeps running.
`IDLE`                the first datagram for the next generator, as for `DATAGRAM`.
`TURN`                None, after other tasks and callbacks have run. A driver may resume at once if they just have.
====================  =============================================================================================

If an error ends the wait, the driver throws it into the dispatcher instead: an error of the connection or a
cancellation.
"""

from __future__ import annotations

__all__ = ["BYTES", "DATAGRAM", "IDLE", "MORE", "NO_MORE", "STEPS_PER_TURN", "TURN", "TURN_TIME", "Wait"]

import enum
from typing import Final

from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams


class _Requirement(enum.Enum):
    BYTES = "bytes of the stream"
    MORE = "more bytes, before the same deadline"
    DATAGRAM = "a datagram"
    IDLE = "the first datagram for the next generator"
    TURN = "a turn for other tasks and callbacks"


# Module constants, because looking up an enum member takes as long as a function call.
BYTES: Final = _Requirement.BYTES
MORE: Final = _Requirement.MORE
DATAGRAM: Final = _Requirement.DATAGRAM
IDLE: Final = _Requirement.IDLE
TURN: Final = _Requirement.TURN


class _Answer(enum.Enum):
    NO_MORE = "no more datagrams will arrive"


NO_MORE: Final = _Answer.NO_MORE

STEPS_PER_TURN: Final = 64
"""Number of steps that a connection, a listener or a task takes before it lets other tasks and callbacks run.

A step handles one packet or error, reads once, or accepts one connection.
"""

TURN_TIME: Final = 200e-6
"""Number of seconds after which a stream lets others have their turn, even if it has made fewer steps."""


class Wait:
    """A wait with a timeout, or a wait for bytes with ancillary data.

    Parameters:
        timeout: the maximum time to wait, in seconds. None means no limit.
        ancillary: if given, one read receives the bytes together with their ancillary data. Datagrams do not use it.
    """

    __slots__ = ("ancillary", "timeout")

    def __init__(self, timeout: float | None, ancillary: RecvAncillaryDataParams | None = None) -> None:
        self.timeout: Final = timeout
        self.ancillary: Final = ancillary

    def as_yielded(self) -> float | RecvParams | None:
        """Return the object that a handler yields for the same wait."""
        if self.ancillary is None:
            return self.timeout
        return RecvParams(timeout=self.timeout, recv_with_ancillary=self.ancillary)
