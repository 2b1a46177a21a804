"""The interface between the demo and a transport. Each transport is one row of the table."""

from __future__ import annotations

__all__ = ["Address", "Transport"]

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from easynetwork.clients.abc import AbstractAsyncNetworkClient, AbstractNetworkClient
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers import JSONSerializer
from easynetwork.servers.abc import AbstractAsyncNetworkServer

Address: TypeAlias = Any
"""The address of a server: a value that JSON can encode."""


class Transport(ABC):
    """A transport between the clients and the server.

    Parameters:
        folder: the folder for the files of server and clients.
    """

    name: ClassVar[str]
    is_stream: ClassVar[bool] = True
    """Whether it carries a byte stream; otherwise it carries datagrams."""

    has_half_close: ClassVar[bool] = False
    """Whether a client can end its sending direction, after which the server closes the connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:  # noqa: B027 - most need none
        """Create the files that server and clients need.

        Raises:
            CommandError: the files cannot be created.
        """

    def protocol(self, frame_limit: int) -> Any:
        """Return the protocol of both sides: each packet is a line of JSON, at most *frame_limit* bytes long."""
        serializer = JSONSerializer(limit=frame_limit)
        return StreamProtocol(serializer) if self.is_stream else DatagramProtocol(serializer)

    @abstractmethod
    def server(self, protocol: Any, handler: Any, **options: Any) -> AbstractAsyncNetworkServer:
        """Return a server that is not activated yet. *options* are further arguments of its class."""
        raise NotImplementedError

    @abstractmethod
    def address(self, server: Any) -> Address:
        """Return the address of a listening server."""
        raise NotImplementedError

    @abstractmethod
    def async_client(self, address: Address, protocol: Any) -> AbstractAsyncNetworkClient[Any, Any]:
        """Return a client that is not connected yet."""
        raise NotImplementedError

    @abstractmethod
    def blocking_client(self, address: Address, protocol: Any) -> AbstractNetworkClient[Any, Any]:
        """Connect a client. Blocks."""
        raise NotImplementedError
