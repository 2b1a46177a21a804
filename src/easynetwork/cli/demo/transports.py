"""The transports of the demo: how to serve and how to connect over each."""

from __future__ import annotations

__all__ = ["TRANSPORTS", "TCPTransport", "TLSTransport", "UDPTransport"]

from typing import Any

from easynetwork.cli.demo.certificates import client_context, make_certificates, server_context
from easynetwork.cli.demo.transport import Address, Transport
from easynetwork.clients import AsyncTCPNetworkClient, AsyncUDPNetworkClient, TCPNetworkClient, UDPNetworkClient
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer


class _OnLoopback(Transport):
    def address(self, server: Any) -> Address:
        return server.get_addresses()[0][:2]


class TCPTransport(_OnLoopback):
    """Plain TCP."""

    name = "TCP"
    has_half_close = True

    def server(self, protocol: Any, handler: Any, **options: Any) -> AsyncTCPNetworkServer[Any, Any]:
        return AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler, **options)

    def async_client(self, address: Address, protocol: Any) -> AsyncTCPNetworkClient[Any, Any]:
        return AsyncTCPNetworkClient(tuple(address), protocol)

    def blocking_client(self, address: Address, protocol: Any) -> TCPNetworkClient[Any, Any]:
        return TCPNetworkClient(tuple(address), protocol)


class TLSTransport(_OnLoopback):
    """TCP with TLS. The certificates are created for the run and verified as usual."""

    name = "TLS"

    def prepare(self) -> None:
        make_certificates(self.folder)

    def server(self, protocol: Any, handler: Any, **options: Any) -> AsyncTCPNetworkServer[Any, Any]:
        return AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler, ssl=server_context(self.folder), **options)

    def async_client(self, address: Address, protocol: Any) -> AsyncTCPNetworkClient[Any, Any]:
        return AsyncTCPNetworkClient(
            tuple(address), protocol, ssl=client_context(self.folder), server_hostname="localhost"
        )

    def blocking_client(self, address: Address, protocol: Any) -> TCPNetworkClient[Any, Any]:
        return TCPNetworkClient(tuple(address), protocol, ssl=client_context(self.folder), server_hostname="localhost")


class UDPTransport(_OnLoopback):
    """Datagrams."""

    name = "UDP"
    is_stream = False

    def server(self, protocol: Any, handler: Any, **options: Any) -> AsyncUDPNetworkServer[Any, Any]:
        return AsyncUDPNetworkServer("127.0.0.1", 0, protocol, handler, **options)

    def async_client(self, address: Address, protocol: Any) -> AsyncUDPNetworkClient[Any, Any]:
        return AsyncUDPNetworkClient(tuple(address), protocol)

    def blocking_client(self, address: Address, protocol: Any) -> UDPNetworkClient[Any, Any]:
        return UDPNetworkClient(tuple(address), protocol)


TRANSPORTS: dict[str, type[Transport]] = {"tcp": TCPTransport, "tls": TLSTransport, "udp": UDPTransport}

try:
    from easynetwork.cli.demo._unix_transports import UnixDatagramTransport, UnixStreamTransport
except ImportError:  # a system without Unix sockets
    pass
else:
    TRANSPORTS |= {"unix": UnixStreamTransport, "unix-datagram": UnixDatagramTransport}
