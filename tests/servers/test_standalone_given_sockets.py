"""Standalone servers on sockets that exist already: each run serves duplicates, and only closing the server ends it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.kinds import DatagramService, StreamService
from tests.support.datagram_servers import has_unix_datagrams
from tests.support.lines import line_protocol, text_protocol
from tests.support.peers import PATIENCE
from tests.support.standalone_servers import serving_in_thread

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.servers._standalone_server import BaseStandaloneNetworkServer
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer
from easynetwork.servers.standalone_udp import StandaloneUDPNetworkServer
from easynetwork.servers.standalone_unix_datagram import StandaloneUnixDatagramServer
from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer

Server = BaseStandaloneNetworkServer[Any]

CLASSES: dict[str, Callable[..., Server]] = {
    "tcp": StandaloneTCPNetworkServer,
    "udp": StandaloneUDPNetworkServer,
    "unix-stream": StandaloneUnixStreamServer,
    "unix-datagram": StandaloneUnixDatagramServer,
}


class Kind:
    """Makes sockets, servers on them, and clients of one kind."""

    def __init__(self, name: str, backend: str, directory: Path) -> None:
        self.server_class = CLASSES[name]
        self.backend = backend
        self.is_inet = name in ("tcp", "udp")
        self.is_stream = name in ("tcp", "unix-stream")
        self.directory = directory
        self.neutral: tuple[Any, ...] = (None, 0) if self.is_inet else ("",)
        self.protocol: Any = line_protocol() if self.is_stream else text_protocol()
        self.service: Any = StreamService() if self.is_stream else DatagramService()
        self.resources = contextlib.ExitStack()

    def bound(self, name: str = "socket") -> socket.socket:
        sock = self._new()
        sock.bind(("127.0.0.1", 0) if self.is_inet else str(self.directory / name))
        return sock

    def _new(self) -> socket.socket:
        family = socket.AF_INET if self.is_inet else socket.AF_UNIX
        type_ = socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM
        return self.resources.enter_context(socket.socket(family, type_))

    def server(self, sockets: Any, *address: Any, **options: Any) -> Server:
        return self.server_class(
            *(address or self.neutral), self.protocol, self.service, self.backend, sockets=sockets, **options
        )

    def ask(self, address: Any, text: bytes = b"hello") -> bytes:
        with self._new() as sock:
            sock.settimeout(PATIENCE)
            if not self.is_inet and not self.is_stream:
                sock.bind(str(self.directory / f"peer{sock.fileno()}"))
            sock.connect(address)
            sock.send(text + b"\n" if self.is_stream else text)
            answer = sock.recv(100).rstrip(b"\n")
            if not self.is_inet and not self.is_stream:
                os.unlink(sock.getsockname())
            return answer


@pytest.fixture(params=CLASSES)
def kind_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["asyncio", "trio"])
def kind(request: pytest.FixtureRequest, kind_name: str, tmp_path: Path) -> Iterator[Kind]:
    backend: str = request.param
    if kind_name == "unix-datagram" and not has_unix_datagrams(new_builtin_backend(backend)):  # type: ignore[arg-type]
        pytest.skip("this backend has no Unix datagram sockets")
    kind = Kind(kind_name, backend, tmp_path)
    with kind.resources:
        yield kind


def test_each_run_serves_the_same_sockets(kind: Kind) -> None:
    sockets = [kind.bound("a"), kind.bound("b")]
    names = [sock.getsockname() for sock in sockets]
    with kind.server(sockets) as server:
        for _ in range(2):
            assert server.get_addresses() == ()
            with serving_in_thread(server):
                assert [view.getsockname() for view in server.get_sockets()] == names
                assert [kind.ask(name) for name in names] == [b"hello"] * 2
            assert all(sock.fileno() >= 0 for sock in sockets)
    assert all(sock.fileno() < 0 for sock in sockets)


def test_closing_a_server_that_has_not_run_closes_the_sockets(kind: Kind) -> None:
    sock = kind.bound()
    server = kind.server([sock])
    server.server_close()
    assert sock.fileno() < 0
    with pytest.raises(ServerClosedError):
        server.serve_forever()


@pytest.mark.parametrize("end", ["server_close", "drain"])
def test_the_end_of_a_running_server_closes_the_sockets(kind: Kind, end: str) -> None:
    sock = kind.bound()
    server = kind.server([sock])
    with serving_in_thread(server):
        name = sock.getsockname()
        assert kind.ask(name) == b"hello"
        getattr(server, end)()
        assert sock.fileno() < 0
    with kind._new() as client, pytest.raises(ConnectionError):
        if kind.is_inet and not kind.is_stream:  # the answer to a datagram is the error
            client.settimeout(PATIENCE)
            client.connect(name)
            client.send(b"hello")
            client.recv(100)
        else:
            client.connect(name)


def test_wrong_sockets_are_refused_by_the_constructor(kind: Kind) -> None:
    sock = kind.bound()
    with kind._new() as unbound, pytest.raises(ValueError, match="not bound"):
        kind.server([sock, unbound])
    with pytest.raises(TypeError):
        kind.server([None])
    with pytest.raises(ValueError):
        kind.server([])
    with pytest.raises(ValueError, match="must be"):
        kind.server([sock], *(("127.0.0.1", 0) if kind.is_inet else ("elsewhere",)))
    assert sock.fileno() >= 0


def test_an_argument_that_serve_forever_refuses_leaves_the_sockets_to_the_server(kind: Kind) -> None:
    sock = kind.bound()
    before = len(os.listdir("/dev/fd"))
    with kind.server([sock], limits=12) as server:
        with pytest.raises(TypeError, match="ServerLimits"):
            server.serve_forever()
        assert sock.fileno() >= 0
        assert len(os.listdir("/dev/fd")) == before
    assert sock.fileno() < 0


@pytest.mark.parametrize("kind_name", ["tcp"], indirect=True)
def test_a_socket_that_cannot_be_duplicated_costs_no_descriptor(kind: Kind) -> None:
    class Exhausted(socket.socket):
        def dup(self) -> Any:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    sock = kind.bound()
    with Exhausted() as exhausted:
        exhausted.bind(("127.0.0.1", 0))
        with kind.server([sock, exhausted]) as server:
            before = len(os.listdir("/dev/fd"))
            with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                server.serve_forever()
            assert len(os.listdir("/dev/fd")) == before
            assert sock.fileno() >= 0


@pytest.mark.parametrize("kind_name", ["unix-stream", "unix-datagram"], indirect=True)
def test_the_file_of_a_given_socket_is_not_deleted(kind: Kind) -> None:
    sock = kind.bound()
    path = sock.getsockname()
    with kind.server([sock]) as server, serving_in_thread(server):
        pass
    assert os.path.exists(path)
