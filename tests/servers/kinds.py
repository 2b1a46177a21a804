"""The four kinds of servers, for tests of what they have in common."""

from __future__ import annotations

__all__ = ["KINDS", "DatagramService", "Kind", "Server", "Service", "StreamService"]

import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from tests.support.datagram_servers import Requests
from tests.support.lines import line_protocol, text_protocol
from tests.support.peers import PATIENCE

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.servers._network_server import BaseAsyncNetworkServer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler

Server = BaseAsyncNetworkServer[Any, Any]

KINDS: Final = ("tcp", "udp", "unix-stream", "unix-datagram")


class Service:
    """Answers each request with itself. Two requests are special: ``wait`` waits, ``call`` calls. Keeps a diary."""

    def __init__(self, set_up: Callable[[Any, AsyncExitStack], Awaitable[object]] | None = None) -> None:
        self.diary: list[str] = []
        self.set_up = set_up
        self.go_on: Any = None
        self.on_request: Callable[[], Awaitable[object]] | None = None

    async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
        self.diary.append("init")
        exit_stack.callback(self.diary.append, "exit")
        if self.set_up is not None:
            await self.set_up(server, exit_stack)

    async def handle(self, client: Any, /) -> Requests:
        request = yield None
        if request == "wait":
            self.diary.append("waiting")
            try:
                await self.go_on.wait()
            except BaseException:
                self.diary.append("cancelled")
                raise
            self.diary.append("done")
        elif request == "call":
            assert self.on_request is not None
            await self.on_request()
            self.diary.append("called")
        else:
            await client.send_packet(request)


class StreamService(Service, AsyncStreamRequestHandler[str, str]):
    pass


class DatagramService(Service, AsyncDatagramRequestHandler[str, str]):
    pass


class Kind:
    """Makes servers of one kind, and sockets that talk to them."""

    def __init__(self, name: str, backend: AsyncBackend, directory: Path) -> None:
        self.backend: Final = backend
        self.is_inet: Final = name in ("tcp", "udp")
        self.is_stream: Final = name in ("tcp", "unix-stream")
        self.socket_type: Final = socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM
        self.new_service: Final = StreamService if self.is_stream else DatagramService
        self.path: Final = str(directory / "socket")
        self.address: Final[tuple[Any, ...]] = ("127.0.0.1", 0) if self.is_inet else (self.path,)
        self.protocol: Final[Any] = line_protocol() if self.is_stream else text_protocol()
        self.opener: Final = {
            "tcp": "create_tcp_listeners",
            "udp": "create_udp_listeners",
            "unix-stream": "create_unix_stream_listener",
            "unix-datagram": "create_unix_datagram_listener",
        }[name]
        self.server_class: Final[Callable[..., Server]] = {
            "tcp": AsyncTCPNetworkServer,
            "udp": AsyncUDPNetworkServer,
            "unix-stream": AsyncUnixStreamServer,
            "unix-datagram": AsyncUnixDatagramServer,
        }[name]
        self._directory = directory
        self._sockets: list[socket.socket] = []

    def new_server(self, service: Service | None = None, *address: Any, **options: Any) -> Server:
        service = service or self.new_service()
        return self.server_class(*(address or self.address), self.protocol, service, self.backend, **options)

    def connect(self, server: Server, index: int = 0) -> socket.socket:
        view = server.get_sockets()[index]
        sock = socket.socket(view.family, view.type)
        self._sockets.append(sock)
        if view.family == socket.AF_UNIX and not self.is_stream:
            sock.bind(str(self._directory / f"{len(self._sockets)}"))
        sock.connect(view.getsockname())
        sock.setblocking(False)
        return sock

    def send(self, sock: socket.socket, text: str) -> None:
        sock.send(text.encode() + (b"\n" if self.is_stream else b""))

    async def receive(self, sock: socket.socket) -> str:
        """Return the next text, "" at the end of a stream."""
        with self.backend.timeout(PATIENCE):
            while True:
                try:
                    return sock.recv(100).decode().rstrip("\n")
                except BlockingIOError:
                    await self.backend.sleep(0.0005)

    async def ask(self, sock: socket.socket, text: str) -> str:
        self.send(sock, text)
        return await self.receive(sock)

    async def is_served(self, server: Server) -> bool:
        """Return whether a new peer is answered."""
        return await self.ask(self.connect(server), "hello") == "hello"

    def hang_up(self) -> None:
        for sock in self._sockets:
            sock.close()
