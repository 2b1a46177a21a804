"""Unix stream sockets: connecting, and what is done to sockets before they are transports.

Listening is in test_unix_listener.py. What every byte stream promises, tests/conformance checks on Unix sockets too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.background import spawn
from tests.support.descriptors import all_closed
from tests.support.platforms import needs_abstract_names

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.socket import SocketAttribute, UNIXSocketAttribute

EVERY_BACKEND = True


async def in_thread(func: Callable[..., Any], *args: Any) -> Any:
    return await ensure_backend(None).run_in_thread(func, *args)


# --- connecting


@contextlib.contextmanager
def listening(path: str | bytes, backlog: int = 10) -> Any:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(backlog)
        server.settimeout(5)
        yield server


async def test_it_connects_to_a_path(backend: AsyncBackend, path: str) -> None:
    with listening(path) as server:
        async with all_closed(), await backend.create_unix_stream_connection(path) as transport:
            peer, _ = server.accept()
            with peer:
                await transport.send_all(b"request")
                assert await in_thread(peer.recv, 100) == b"request"
                peer.sendall(b"answer")
                assert await transport.recv(100) == b"answer"
                assert transport.backend() is backend


@needs_abstract_names
async def test_it_connects_to_an_abstract_name(backend: AsyncBackend) -> None:
    name = b"\0easynetwork-test-%d" % os.getpid()
    with listening(name):
        async with await backend.create_unix_stream_connection(name) as transport:
            assert transport.extra(UNIXSocketAttribute.peername) == name


async def test_a_missing_path_is_a_plain_oserror_that_names_it(backend: AsyncBackend, path: str) -> None:
    async with all_closed():
        with pytest.raises(FileNotFoundError, match=path):
            await backend.create_unix_stream_connection(path)


async def test_a_dead_server_refuses(backend: AsyncBackend, path: str) -> None:
    with listening(path):
        pass
    async with all_closed():
        with pytest.raises(ConnectionRefusedError, match=path):
            await backend.create_unix_stream_connection(path)


async def test_a_path_that_is_too_long_is_an_oserror(backend: AsyncBackend, path: str) -> None:
    with pytest.raises(OSError, match="too long"):
        await backend.create_unix_stream_connection(path + "x" * 200)


async def test_it_binds_to_a_local_path_and_never_deletes_it(backend: AsyncBackend, path: str) -> None:
    with listening(path):
        async with await backend.create_unix_stream_connection(path, local_path=path + ".client") as transport:
            assert transport.extra(UNIXSocketAttribute.sockname) == path + ".client"
        assert os.path.exists(path + ".client")


@needs_abstract_names
async def test_an_empty_local_path_is_chosen_by_the_system(backend: AsyncBackend, path: str) -> None:
    with listening(path):
        async with await backend.create_unix_stream_connection(path, local_path="") as transport:
            assert transport.extra(SocketAttribute.sockname).startswith(b"\0")


async def test_a_local_path_in_use_is_a_plain_oserror(backend: AsyncBackend, path: str) -> None:
    with listening(path):
        async with all_closed():
            with pytest.raises(OSError, match=path) as info:
                await backend.create_unix_stream_connection(path, local_path=path)
            assert info.value.errno == errno.EADDRINUSE


async def test_it_waits_for_a_server_whose_backlog_is_full(backend: AsyncBackend, path: str) -> None:
    with listening(path, backlog=0) as server, socket.socket(socket.AF_UNIX) as other:
        other.connect(path)
        connecting = spawn(backend.create_unix_stream_connection(path))
        await backend.sleep(0.05)
        assert not connecting.done()
        accepted = [server.accept()[0]]
        async with await connecting.result() as transport:
            accepted.append(await in_thread(lambda: server.accept()[0]))
            await transport.send_all(b"patient")
            assert await in_thread(accepted[-1].recv, 100) == b"patient"
        for sock in accepted:
            sock.close()


async def test_a_cancelled_connection_leaves_no_socket(backend: AsyncBackend, path: str) -> None:
    with listening(path, backlog=0), socket.socket(socket.AF_UNIX) as other:
        other.connect(path)
        async with all_closed():
            with pytest.raises(TimeoutError), backend.timeout(0.02):
                await backend.create_unix_stream_connection(path)


async def test_it_tells_its_addresses_while_it_is_open(backend: AsyncBackend, path: str) -> None:
    with listening(path):
        transport = await backend.create_unix_stream_connection(path)
        assert transport.extra(SocketAttribute.family) is socket.AF_UNIX
        assert transport.extra(SocketAttribute.peername) == path
        assert transport.extra(SocketAttribute.sockname) == ""
        assert transport.extra(SocketAttribute.socket).fileno() > 0
        assert not hasattr(transport.extra(SocketAttribute.socket), "sendmsg")
        await transport.aclose()
        for attribute in (SocketAttribute.peername, SocketAttribute.sockname):
            with pytest.raises(TypedAttributeLookupError):
                transport.extra(attribute)
        assert transport.extra(SocketAttribute.socket).fileno() == -1


async def test_a_wrapped_socket_becomes_non_blocking(backend: AsyncBackend) -> None:
    ours, peer = socket.socketpair()
    with peer:
        async with await backend.wrap_stream_socket(ours):
            assert ours.gettimeout() == 0
        assert ours.fileno() == -1


async def test_a_datagram_socket_is_refused_and_closed(backend: AsyncBackend) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="SOCK_STREAM"):
            await backend.wrap_stream_socket(sock)
        assert sock.fileno() == -1
