"""File descriptors that travel in control messages, and whether any of them is left over."""

from __future__ import annotations

__all__ = ["Gift", "all_closed", "open_descriptors", "receive_message", "received_text", "send_message"]

import array
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.socket import SocketAncillary

RawAncillaryData = list[tuple[int, int, bytes]]


class Gift:
    """An open file to give away, with a text inside; closed on exit from the context."""

    def __init__(self, text: str = "gift") -> None:
        self.fd, write_end = os.pipe()
        os.write(write_end, text.encode())
        os.close(write_end)

    @property
    def raw(self) -> RawAncillaryData:
        ancillary = SocketAncillary()
        ancillary.add_fds([self.fd])
        return ancillary.as_raw()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self.fd)


def received_text(ancillary_data: Iterable[Any] | SocketAncillary) -> str:
    """Returns the text in the one file that was received, and closes that."""
    if not isinstance(ancillary_data, SocketAncillary):
        raw, ancillary_data = ancillary_data, SocketAncillary()
        ancillary_data.update_from_raw(raw)
    [fd] = ancillary_data.iter_fds()
    try:
        return os.read(fd, 100).decode()
    finally:
        os.close(fd)


def send_message(sock: socket.socket, data: bytes, gift: Gift) -> None:
    """Sends *data* with *gift*, by a plain socket."""
    assert sock.sendmsg([data], gift.raw) == len(data)


def receive_message(sock: socket.socket, size: int = 100) -> tuple[bytes, str | None]:
    """Receives bytes, and the text in the file that came with them, by a plain socket."""
    data, raw, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(10 * array.array("i").itemsize))
    return data, received_text(raw) if raw else None


def open_descriptors() -> int:
    """Returns how many files this process has open, besides the null device: libuv holds it in reserve."""
    null = os.stat(os.devnull).st_rdev
    count = 0
    for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):
        with contextlib.suppress(OSError):  # that of the folder itself
            count += os.fstat(int(name)).st_rdev != null
    return count


@contextlib.asynccontextmanager
async def all_closed() -> AsyncIterator[None]:
    """Whatever is opened meanwhile is closed at the end, or a few turns of the event loop later."""
    before = open_descriptors()
    yield
    for _ in range(100):
        if open_descriptors() <= before:
            break
        await ensure_backend(None).sleep(0.01)
    assert open_descriptors() == before
