"""Sockets without room for another datagram."""

from __future__ import annotations

__all__ = ["FullSocket"]

import errno
import os
import socket
from typing import Any


class FullSocket(socket.socket):
    """A UDP socket that refuses to send while `is_full`. On the loopback interface, a real one is never full."""

    is_full: bool = False

    def _check(self) -> None:
        if self.is_full:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def send(self, *args: Any) -> int:
        self._check()
        return super().send(*args)

    def sendto(self, *args: Any) -> int:
        self._check()
        return super().sendto(*args)
