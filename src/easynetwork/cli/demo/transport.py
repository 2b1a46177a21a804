"""What the demo needs to know of a transport. One row of the table for each."""

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
"""Where a server is reached: something that goes through JSON."""


class Transport(ABC):
    """One way to get from the clients to the server.

    Parameters:
        folder: where server and clients keep the files that they need.
    """

    name: ClassVar[str]
    is_stream: ClassVar[bool] = True
    """Whether it carries a stream of bytes, as opposed to datagrams."""

    has_half_close: ClassVar[bool] = False
    """Whether a client can say that it has sent all, and the server hangs up then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:  # noqa: B027 - most need none
        """Make the files that server and clients need.

        Raises CommandError if that is not possible.
        """

    def protocol(self, frame_limit: int) -> Any:
        """Return the protocol of both sides: each packet is a line of JSON, at most *frame_limit* bytes long."""
        serializer = JSONSerializer(limit=frame_limit)
        return StreamProtocol(serializer) if self.is_stream else DatagramProtocol(serializer)

    @abstractmethod
    def server(self, protocol: Any, handler: Any) -> AbstractAsyncNetworkServer:
        """Return a server that is not activated yet."""
        raise NotImplementedError

    @abstractmethod
    def address(self, server: Any) -> Address:
        """Return where a listening server is reached."""
        raise NotImplementedError

    @abstractmethod
    def async_client(self, address: Address, protocol: Any) -> AbstractAsyncNetworkClient[Any, Any]:
        """Return a client that is not connected yet."""
        raise NotImplementedError

    @abstractmethod
    def blocking_client(self, address: Address, protocol: Any) -> AbstractNetworkClient[Any, Any]:
        """Connect a client. Blocks."""
        raise NotImplementedError
