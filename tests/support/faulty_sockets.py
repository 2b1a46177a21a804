"""Sockets whose network gives up."""

from __future__ import annotations

__all__ = ["LOST", "FaultySocket", "faulty", "give_up_soon"]

import errno
import os
import socket
from typing import Any

LOST = [
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
]
"""The errors that the system reports for it."""


class FaultySocket(socket.socket):
    """A socket that fails with ``fault`` once that is set, whatever it is asked for."""

    fault: int | None = None

    def _check(self) -> None:
        if self.fault is not None:
            raise OSError(self.fault, os.strerror(self.fault))

    def recv(self, *args: Any) -> bytes:
        self._check()
        return super().recv(*args)

    def recv_into(self, *args: Any) -> int:
        self._check()
        return super().recv_into(*args)

    def recvmsg(self, *args: Any) -> Any:
        self._check()
        return super().recvmsg(*args)

    def recvmsg_into(self, *args: Any) -> Any:
        self._check()
        return super().recvmsg_into(*args)

    def send(self, *args: Any) -> int:
        self._check()
        return super().send(*args)

    def sendmsg(self, *args: Any) -> int:
        self._check()
        return super().sendmsg(*args)


def faulty(sock: socket.socket) -> FaultySocket:
    """Return *sock*, which is used up, as one that can fail."""
    return FaultySocket(fileno=sock.detach())


def give_up_soon(sock: Any) -> None:
    """Let the system end the TCP connection of *sock* with ``ETIMEDOUT`` soon after its peer takes no more bytes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
