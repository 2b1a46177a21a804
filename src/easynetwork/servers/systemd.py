"""Sockets from a service manager, and messages to it.

The manager may be :manpage:`systemd(1)`, or any program with the same protocols. No library of systemd is needed.
"""

from __future__ import annotations

__all__ = ["notify", "take_sockets"]

import errno
import os
import socket as _socket
from collections.abc import Iterable
from itertools import repeat
from typing import Final

_FIRST_DESCRIPTOR: Final = 3  # SD_LISTEN_FDS_START

_SEND_TIMEOUT: Final = 1.0
"""Number of seconds to wait for a manager that does not read. A message is sent in microseconds otherwise."""


def take_sockets() -> dict[str, list[_socket.socket]]:
    """Return the sockets that the service manager has opened for this process, by the names that it gives them.

    This is the protocol of :manpage:`sd_listen_fds(3)` and :manpage:`sd_listen_fds_with_names(3)`. The name is the
    ``FileDescriptorName=`` of the socket unit, by default the name of the unit (``"echo.socket"``). Sockets without a
    name are under ``"unknown"``. The sockets of one name are in the order of the manager.

    The variables ``LISTEN_PID``, ``LISTEN_FDS`` and ``LISTEN_FDNAMES`` are removed from the environment in any case, so
    that neither a second call nor a child process takes the same descriptors. The result is empty if there are no such
    variables, or if they are for another process. The sockets are non-blocking, and a program that this process starts
    does not inherit them.

    Raises:
        ValueError: a variable is invalid; a descriptor is not an open socket. Then the sockets are closed, and other
            descriptors, such as those of a FIFO, are left open.
    """
    pid, count, names = [os.environ.pop(name, None) for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")]
    if pid is None or _number("LISTEN_PID", pid) != os.getpid() or count is None:
        return {}
    number = _number("LISTEN_FDS", count)
    listed: Iterable[str] = repeat("unknown")
    if names is not None and number:
        listed = names.split(":")
        if len(listed) != number:
            raise ValueError(f"LISTEN_FDNAMES has {len(listed)} names for {number} descriptors: {names!r}")
    return _by_name(zip(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + number), listed, strict=False))


def _number(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{variable} is not a number: {text!r}")
    return int(text)


def _by_name(descriptors: Iterable[tuple[int, str]]) -> dict[str, list[_socket.socket]]:
    sockets: dict[str, list[_socket.socket]] = {}
    faults: list[str] = []
    for fd, name in descriptors:
        try:
            os.set_inheritable(fd, False)
            sock = _socket.socket(fileno=fd)
        except OSError as exc:
            faults.append(f"descriptor {fd}, {name!r}: {exc.strerror or exc}")
            if exc.errno == errno.EBADF:
                break  # LISTEN_FDS is too large
        else:
            sock.setblocking(False)
            sockets.setdefault(name, []).append(sock)
    if faults:
        for group in sockets.values():
            for sock in group:
                sock.close()
        raise ValueError(f"The service manager passed what is not a socket: {'; '.join(faults)}")
    return sockets


def notify(state: str) -> bool:
    r"""Send *state* to the service manager, as :manpage:`sd_notify(3)` does. Return whether there is one.

    The manager has set ``NOTIFY_SOCKET``. Standalone servers send ``READY=1``, ``STOPPING=1`` and ``WATCHDOG=1`` by
    themselves. Use this function for other messages, such as ``notify("STATUS=loading")``.

    Parameters:
        state: assignments, separated by newlines.

    Raises:
        ValueError: ``NOTIFY_SOCKET`` is neither an absolute path nor an abstract name.
        OSError: the message cannot be sent, or the manager has not taken it for a second.
    """
    return _send(state, _SEND_TIMEOUT)


def _send(state: str, timeout: float) -> bool:
    """Do what `notify` does. Wait at most *timeout* seconds."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path or not hasattr(_socket, "AF_UNIX"):
        return False
    if path[0] not in "/@":
        raise ValueError(f"NOTIFY_SOCKET is not the address of a Unix socket: {path!r}")
    address = os.fsencode(path)
    if path[0] == "@":
        address = b"\0" + address[1:]
    with _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect(address)  # only a connected socket can wait until there is room at the other end
        sock.send(state.encode())
    return True
