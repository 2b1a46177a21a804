"""The transports that the demo shows: how to serve and how to connect over each. One row of the table for each."""

from __future__ import annotations

__all__ = ["TRANSPORTS", "Address", "TCPTransport", "json_lines"]

from typing import Any, TypeAlias

from easynetwork.cli.demo.workload import Packet
from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import JSONSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler

Address: TypeAlias = tuple[str, int]


def json_lines(frame_limit: int) -> StreamProtocol[Any, Any]:
    """Return the protocol of both sides: each packet is a line of JSON, at most *frame_limit* bytes long."""
    return StreamProtocol(JSONSerializer(limit=frame_limit))


class TCPTransport:
    """Plain TCP on the loopback interface."""

    name = "TCP"

    def server(
        self, protocol: StreamProtocol[Any, Any], handler: AsyncStreamRequestHandler[Any, Any]
    ) -> AsyncTCPNetworkServer[Any, Any]:
        """Return a server for a free port."""
        return AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler)

    def address(self, server: AsyncTCPNetworkServer[Any, Any]) -> Address:
        """Return where a listening server is reached."""
        host, port = server.get_addresses()[0][:2]
        return host, port

    def client(self, address: Address, protocol: StreamProtocol[Packet, Any]) -> AsyncTCPNetworkClient[Packet, Any]:
        """Return a client that is not connected yet."""
        return AsyncTCPNetworkClient(address, protocol)


TRANSPORTS = {"tcp": TCPTransport()}
