"""The common part of the asynchronous Unix socket servers: the socket file."""

from __future__ import annotations

__all__ = ["UnixServer", "opening_one"]

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from easynetwork.lowlevel._sockets.unix_files import SocketFile
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import UnixSocketAddress, UNIXSocketAttribute
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers._unix_files import find_socket_file, remove_socket_file

_T_LowLevelServer = TypeVar("_T_LowLevelServer", bound=AsyncBaseTransport)

_T_Listener = TypeVar("_T_Listener")


def opening_one(open_listener: Callable[[], Awaitable[_T_Listener]]) -> Callable[[], Awaitable[list[_T_Listener]]]:
    """Return a function that returns the result of *open_listener* in a list."""

    async def open_listeners() -> list[_T_Listener]:
        return [await open_listener()]

    return open_listeners


class UnixServer(BaseAsyncNetworkServer[_T_LowLevelServer, UnixSocketAddress]):
    """A mixin for servers on Unix sockets. When a server closes, it deletes the socket file that it has created."""

    _socket_file: SocketFile | None = None
    """The socket file while it exists."""

    async def server_close(self) -> None:
        """Delete the socket file and close the socket permanently. Idempotent. A cancelled call still does both.

        A file that has replaced the server's file is not deleted, nor are the files of sockets that were given to the
        server. Connected clients are served until they leave; then `serve_forever` returns.

        Raises:
            BusyResourceError: the server is being set up, in ``service_init()``.
        """
        await super().server_close()

    async def _open_servers(self) -> Sequence[_T_LowLevelServer]:
        servers = await super()._open_servers()  # type: ignore[safe-super] # that class has one
        if self._given_sockets is not None:
            return servers  # the program that bound them deletes their files
        [server] = servers
        try:
            self._socket_file = find_socket_file(self._address(server))
        except BaseException:
            await aclose_forcefully(server)
            raise
        return servers

    async def _close_servers(self, servers: Sequence[_T_LowLevelServer]) -> None:
        file, self._socket_file = self._socket_file, None
        try:
            if file is not None:
                remove_socket_file(file, self.logger)
        finally:
            await super()._close_servers(servers)

    def _address(self, server: Any) -> UnixSocketAddress:
        return UnixSocketAddress.from_raw(server.extra(UNIXSocketAttribute.sockname))
