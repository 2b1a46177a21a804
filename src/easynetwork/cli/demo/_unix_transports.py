"""Unix sockets in the demo. The import fails on systems without them."""

from __future__ import annotations

__all__ = ["UnixDatagramTransport", "UnixStreamTransport"]

from typing import Any

from easynetwork.cli.demo.transport import Address, Transport
from easynetwork.clients.async_unix_datagram import AsyncUnixDatagramClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.clients.unix_datagram import UnixDatagramClient
from easynetwork.clients.unix_stream import UnixStreamClient
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer


class _InFolder(Transport):
    def address(self, server: Any) -> Address:
        return str(server.get_addresses()[0])


class UnixStreamTransport(_InFolder):
    """A Unix socket that carries a stream."""

    name = "Unix"
    has_half_close = True

    def server(self, protocol: Any, handler: Any, **options: Any) -> AsyncUnixStreamServer[Any, Any]:
        return AsyncUnixStreamServer(self.folder / "stream.sock", protocol, handler, **options)

    def async_client(self, address: Address, protocol: Any) -> AsyncUnixStreamClient[Any, Any]:
        return AsyncUnixStreamClient(address, protocol)

    def blocking_client(self, address: Address, protocol: Any) -> UnixStreamClient[Any, Any]:
        return UnixStreamClient(address, protocol)


class UnixDatagramTransport(_InFolder):
    """A Unix socket that carries datagrams."""

    name = "Unix datagrams"
    is_stream = False

    def server(self, protocol: Any, handler: Any, **options: Any) -> AsyncUnixDatagramServer[Any, Any]:
        return AsyncUnixDatagramServer(self.folder / "datagrams.sock", protocol, handler, **options)

    def async_client(self, address: Address, protocol: Any) -> AsyncUnixDatagramClient[Any, Any]:
        return AsyncUnixDatagramClient(address, protocol)

    def blocking_client(self, address: Address, protocol: Any) -> UnixDatagramClient[Any, Any]:
        return UnixDatagramClient(address, protocol)
