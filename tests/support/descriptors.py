"""File descriptors: sending them in control messages, and finding those that are left open."""

from __future__ import annotations

__all__ = [
    "Gift",
    "all_closed",
    "asking_for",
    "close_received",
    "give",
    "open_descriptors",
    "receive_message",
    "received_text",
    "send_message",
    "text_in",
]

import array
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary

RawAncillaryData = list[tuple[int, int, bytes]]


class Gift:
    """An open file to send, with a text inside. The exit from the context closes it."""

    def __init__(self, text: str = "gift") -> None:
        self.fd, write_end = os.pipe()
        os.write(write_end, text.encode())
        os.close(write_end)

    @property
    def ancillary(self) -> SocketAncillary:
        """A container with this file, made anew."""
        ancillary = SocketAncillary()
        ancillary.add_fds([self.fd])
        return ancillary

    @property
    def raw(self) -> RawAncillaryData:
        """What sendmsg(2) takes."""
        return self.ancillary.as_raw()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.fd)


def received_text(ancillary_data: Iterable[Any] | SocketAncillary) -> str:
    """Return the text in the one file that was received, and close that file."""
    if not isinstance(ancillary_data, SocketAncillary):
        raw, ancillary_data = ancillary_data, SocketAncillary()
        ancillary_data.update_from_raw(raw)
    [fd] = ancillary_data.iter_fds()
    try:
        return os.read(fd, 100).decode()
    finally:
        os.close(fd)


def text_in(ancillary: SocketAncillary) -> str:
    """Return the text in the one file that was received, and close that file; return ``"-"`` without a file."""
    return received_text(ancillary) if list(ancillary.iter_fds()) else "-"


def close_received(ancillary_data: Iterable[tuple[int, int, bytes]]) -> int:
    """Close the descriptors in what recvmsg(2) gave. Return their number."""
    fds = [fd for _, _, data in ancillary_data for fd in array.array("i", data)]
    for fd in fds:
        os.close(fd)
    return len(fds)


def asking_for(ancillary: SocketAncillary, timeout: float | None = None) -> RecvParams:
    """Return what a handler yields to get its next request together with ancillary data, which go to *ancillary*."""
    return RecvParams(timeout=timeout, recv_with_ancillary=RecvAncillaryDataParams(ancillary.update_from_raw))


def send_message(sock: socket.socket, data: bytes, gift: Gift) -> None:
    """Send *data* with *gift*, by a plain socket."""
    assert sock.sendmsg([data], gift.raw) == len(data)


def give(sock: socket.socket, data: bytes, text: str = "gift") -> None:
    """Send *data* with a new file that contains *text*, by a plain socket."""
    with Gift(text) as gift:
        send_message(sock, data, gift)


def receive_message(sock: socket.socket, size: int = 100) -> tuple[bytes, str | None]:
    """Receive bytes, and the text in the file that came with them, by a plain socket."""
    data, raw, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(10 * array.array("i").itemsize))
    return data, received_text(raw) if raw else None


def open_descriptors() -> int:
    """Return how many files this process has open, without the null device, which libuv holds in reserve."""
    null = os.stat(os.devnull).st_rdev
    count = 0
    for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):
        with contextlib.suppress(OSError):  # that of the folder itself
            count += os.fstat(int(name)).st_rdev != null
    return count


@contextlib.asynccontextmanager
async def all_closed() -> AsyncIterator[None]:
    """Check that the block closes all that it opens, at its end or a few turns of the event loop later."""
    before = open_descriptors()
    yield
    for _ in range(100):
        if open_descriptors() <= before:
            break
        await ensure_backend(None).sleep(0.01)
    assert open_descriptors() == before
