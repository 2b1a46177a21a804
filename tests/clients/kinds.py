"""Clients of each kind, blocking and asynchronous ones, and a plain socket as the peer of a blocking one."""

from __future__ import annotations

__all__ = ["ASYNC_KINDS", "KINDS", "Kind", "inet_kinds", "kinds", "stream_kinds", "unix_kinds", "wrong_protocols"]

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.support.blocking import PATIENCE
from tests.support.sockets import stream_pair

from easynetwork.clients import TCPNetworkClient, UDPNetworkClient
from easynetwork.clients.abc import AbstractNetworkClient
from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.clients.async_udp import AsyncUDPNetworkClient
from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

Client = AbstractNetworkClient[str, str]


@dataclass(frozen=True)
class Kind:
    """One of the four clients."""

    cls: Any
    family: socket.AddressFamily
    type: socket.SocketKind

    @property
    def is_stream(self) -> bool:
        return self.type == socket.SOCK_STREAM

    def protocol(self, serializer: Any = None) -> Any:
        serializer = serializer or StringLineSerializer()
        return StreamProtocol(serializer) if self.is_stream else DatagramProtocol(serializer)

    def wire(self, text: str) -> bytes:
        """Return the bytes of a packet."""
        return text.encode() + (b"\n" if self.is_stream else b"")

    def sockets(self, *, small_buffers: bool = False) -> tuple[socket.socket, socket.socket]:
        """Return a socket to adopt, and its peer."""
        if self.is_stream:
            return stream_pair(self.family, small_buffers=small_buffers)
        ours, theirs = socket.socket(self.family, self.type), socket.socket(self.family, self.type)
        name: Any = ("127.0.0.1", 0) if self.family == socket.AF_INET else ""
        for sock in (ours, theirs):
            sock.bind(name)
        ours.connect(theirs.getsockname())
        theirs.connect(ours.getsockname())
        theirs.settimeout(PATIENCE)
        return ours, theirs

    @contextlib.contextmanager
    def pair(
        self, serializer: Any = None, *, small_buffers: bool = False, **options: Any
    ) -> Iterator[tuple[Any, socket.socket]]:
        """Give a client that has adopted a socket, and the peer."""
        ours, theirs = self.sockets(small_buffers=small_buffers)
        protocol = options.pop("protocol", None) or self.protocol(serializer)
        with theirs, self.cls(ours, protocol, **options) as client:
            yield client, theirs

    @contextlib.contextmanager
    def address(self, *, listening: bool = True) -> Iterator[tuple[Any, socket.socket]]:
        """Give an address to connect to, and the socket that is bound to it."""
        with tempfile.TemporaryDirectory() as directory, socket.socket(self.family, self.type) as sock:
            sock.bind(("127.0.0.1", 0) if self.family == socket.AF_INET else os.path.join(directory, "server"))
            sock.settimeout(PATIENCE)
            if self.is_stream and listening:
                sock.listen()
            yield sock.getsockname(), sock


KINDS = {
    "tcp": Kind(TCPNetworkClient, socket.AF_INET, socket.SOCK_STREAM),
    "udp": Kind(UDPNetworkClient, socket.AF_INET, socket.SOCK_DGRAM),
    "unix stream": Kind(UnixStreamClient, socket.AF_UNIX, socket.SOCK_STREAM),
    "unix datagram": Kind(UnixDatagramClient, socket.AF_UNIX, socket.SOCK_DGRAM),
}

ASYNC_KINDS = {
    "tcp": replace(KINDS["tcp"], cls=AsyncTCPNetworkClient),
    "udp": replace(KINDS["udp"], cls=AsyncUDPNetworkClient),
    "unix stream": replace(KINDS["unix stream"], cls=AsyncUnixStreamClient),
    "unix datagram": replace(KINDS["unix datagram"], cls=AsyncUnixDatagramClient),
}


def wrong_protocols(kind: Kind) -> list[Any]:
    """Return what is not a protocol of this kind of client."""
    return [12, "x", StringLineSerializer(), KINDS["udp" if kind.is_stream else "tcp"].protocol()]


def _each_of(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", [KINDS[name] for name in names], ids=names)


kinds = _each_of(*KINDS)
stream_kinds = _each_of("tcp", "unix stream")
inet_kinds = _each_of("tcp", "udp")
unix_kinds = _each_of("unix stream", "unix datagram")
