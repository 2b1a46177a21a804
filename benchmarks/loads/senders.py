"""Datagrams from a great many addresses, as a sender that forges its address would make them."""

from __future__ import annotations

import socket
import time

from benchmarks.loads.sockets import HOST

__all__ = ["WAIT", "send_from_many"]

WAIT = b"wait\n"
"""The datagram that makes a handler wait."""

_ECHO = b"echo\n"
_BURST = 50
_FIRST_PORT = 1024


def send_from_many(port: int, senders: range, waiting: float) -> None:
    """Send one datagram from each address of *senders*, numbers that start at 0.

    The share *waiting* of them, evenly spread, makes a handler wait.
    """
    for number in senders:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((f"127.2.{number >> 8 & 255}.{number & 255}", _FIRST_PORT + (number >> 16)))
            sock.sendto(WAIT if int((number + 1) * waiting) > int(number * waiting) else _ECHO, (HOST, port))
        if number % _BURST == 0:
            while _is_waited_for(port):
                time.sleep(0.001)


def _is_waited_for(port: int) -> bool:
    """Tell whether the socket at *port* holds datagrams that its program has not received: see proc_net_udp(5)."""
    address = f":{port:04X} "
    with open("/proc/net/udp") as sockets:
        return any(not line.split()[4].endswith(":00000000") for line in sockets if address in line)
