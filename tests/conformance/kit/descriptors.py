"""File descriptors that are sent along with bytes."""

from __future__ import annotations

__all__ = [
    "SPACE",
    "TOO_LITTLE_SPACE",
    "Token",
    "few_descriptors_left",
    "many",
    "receive_message",
    "received_descriptors",
]

import array
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tests.conformance.kit.stage import Stage

SPACE: Final = 4096
"""Bytes for ancillary data: enough for all that is sent here."""

_COUNT: Final = 50

TOO_LITTLE_SPACE: Final[tuple[int, ...]] = (1, 16, socket.CMSG_SPACE(12 * 4)) if hasattr(socket, "CMSG_SPACE") else ()
"""Bytes for ancillary data: too few for what `many` gives. There is room for no descriptor, or for twelve."""


def many(token: Token) -> list[tuple[int, int, bytes]]:
    """Fifty descriptors, for sendmsg(2)."""
    [(level, kind, data)] = token.raw
    return [(level, kind, data * _COUNT)]


@contextlib.contextmanager
def few_descriptors_left(count: int) -> Iterator[Callable[[], None]]:
    """Let this process open *count* files more, and no other. Give what raises the limit again."""
    if sys.platform == "win32":
        raise NotImplementedError
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def restore() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    # The limit is for the numbers of descriptors, and the free numbers need not follow each other.
    free = [os.dup(0) for _ in range(count + 1)]
    for descriptor in free:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1], limits[1]))
    try:
        yield restore
    finally:
        restore()


class Token:
    """One end of a pipe, to be sent; it can be told from all others.

    Parameters:
        cleanup: closes the pipe.
    """

    def __init__(self, cleanup: contextlib.ExitStack) -> None:
        self._read, self._write = os.pipe()
        cleanup.callback(self.close)

    @property
    def raw(self) -> list[tuple[int, int, bytes]]:
        """What sendmsg(2) takes."""
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self._read]).tobytes())]

    def assert_arrived_as(self, raw: Any) -> None:
        """Make sure that *raw*, what recvmsg(2) gave, is this token and nothing else. Close what was received."""
        [received] = received_descriptors(raw)
        try:
            assert not os.get_inheritable(received)
            os.write(self._write, b"!")
            assert os.read(received, 10) == b"!"
        finally:
            os.close(received)

    def close(self) -> None:
        """Close the pipe on this side. May be called again."""
        for descriptor in (self._read, self._write):
            if descriptor >= 0:
                os.close(descriptor)
        self._read = self._write = -1

    def close_what_was_sent(self) -> None:
        """Close the end that was sent. The receiver has its own descriptor."""
        os.close(self._read)
        self._read = -1


def received_descriptors(raw: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors in what recvmsg(2) gave. The caller owns them."""
    descriptors = array.array("i")
    for level, kind, data in raw:
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return list(descriptors)


async def receive_message(stage: Stage[Any], sock: socket.socket) -> tuple[bytes, Any]:
    """Wait until *sock* has something. Return the bytes, and what recvmsg(2) gave beside them."""
    message: tuple[bytes, Any] | None = None

    def arrived() -> bool:
        nonlocal message
        with contextlib.suppress(BlockingIOError):
            message = sock.recvmsg(1 << 16, SPACE, socket.MSG_CMSG_CLOEXEC)[:2]
        return message is not None

    await stage.until(arrived)
    assert message is not None
    return message
