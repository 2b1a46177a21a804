"""Requests and answers with ancillary data, over real Unix sockets.

Handlers that ask at some yields only are in tests/servers/test_unix_stream_requests.py, with those of network servers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import pytest
from tests.support.background import new_event, sleep
from tests.support.descriptors import (
    Gift,
    all_closed,
    asking_for,
    give,
    receive_message,
    received_text,
    send_message,
    text_in,
)
from tests.support.lines import LINE_PROTOCOLS, line_protocol
from tests.support.lowlevel_stream_servers import Client, Requests, run
from tests.support.peers import PATIENCE, Peer

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary
from easynetwork.protocol import AnyStreamProtocolType

EVERY_BACKEND = True


@pytest.fixture(params=LINE_PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> AnyStreamProtocolType[str, str]:
    return LINE_PROTOCOLS[request.param]()


@contextlib.asynccontextmanager
async def unix_server(
    path: str,
    handler: Callable[[Client], AsyncGenerator[Any, str]],
    protocol: AnyStreamProtocolType[str, str] | None = None,
    ancillary_bufsize: int | None = 1024,
) -> AsyncIterator[Peer]:
    """Serve one peer over a Unix socket. In the end, no descriptor is left."""
    async with all_closed():
        listener = await ensure_backend(None).create_unix_stream_listener(path, 10)
        server = AsyncStreamServer(listener, protocol or line_protocol(), 1024)
        async with run(server, path, handler, ancillary_bufsize=ancillary_bufsize) as running:
            with ensure_backend(None).timeout(PATIENCE):
                yield await running.connect()


async def always_asking(client: Client) -> Requests:
    while True:
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await client.send_packet(f"{request} {text_in(ancillary)}")


async def settle() -> None:
    """Let the server do what it has to do, and a little more."""
    await sleep(0.02)


# --- receiving


async def test_a_descriptor_comes_with_its_request(path: str, protocol: AnyStreamProtocolType[str, str]) -> None:
    async with unix_server(path, always_asking, protocol) as peer:
        give(peer.sock, b"one\n", "first")
        assert await peer.line() == b"one first"
        assert await peer.ask(b"two") == b"two -"
        give(peer.sock, b"three\n", "third")
        assert await peer.line() == b"three third"


async def test_requests_of_one_read_share_its_ancillary_data(
    path: str, protocol: AnyStreamProtocolType[str, str]
) -> None:
    async with unix_server(path, always_asking, protocol) as peer:
        give(peer.sock, b"one\ntwo\nthree\n", "first")
        assert await peer.lines(3) == [b"one first", b"two -", b"three -"]


async def test_a_handler_may_ask_now_and_not_then(path: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            ancillary = SocketAncillary()
            request = yield asking_for(ancillary)
            await client.send_packet(f"{request} {text_in(ancillary)}")
            request = yield None
            await client.send_packet(request)

    async with unix_server(path, handler) as peer:
        for turn in range(3):
            give(peer.sock, b"asked\n", f"turn {turn}")
            assert await peer.line() == b"asked turn %d" % turn
            give(peer.sock, b"not asked\n")
            assert await peer.line() == b"not asked"


async def test_descriptors_that_nobody_asks_for_are_closed(path: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            await client.send_packet((yield None))

    for ancillary_bufsize in (None, 1024):
        async with unix_server(path, handler, ancillary_bufsize=ancillary_bufsize) as peer:
            assert await peer.ask(b"hello") == b"hello"
            async with all_closed():
                give(peer.sock, b"one\n")
                assert await peer.line() == b"one"
        os.unlink(path)


async def test_a_timeout_loses_nothing(path: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            ancillary = SocketAncillary()
            try:
                request = yield asking_for(ancillary, timeout=0.01)
            except TimeoutError:
                await client.send_packet("timeout")
                request = yield asking_for(ancillary)
            await client.send_packet(f"{request} {text_in(ancillary)}")

    async with unix_server(path, handler) as peer:
        assert await peer.line() == b"timeout"
        give(peer.sock, b"late\n", "kept")
        assert await peer.line() == b"late kept"


async def test_a_scope_cancelled_around_the_yield_loses_nothing(path: str) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        for _ in range(2):
            with client.backend().move_on_after(0.01):
                yield asking_for(ancillary)
        await client.send_packet("gave up")
        await sleep(0.02)
        request = yield asking_for(ancillary)
        await client.send_packet(f"{request} {text_in(ancillary)}")

    async with unix_server(path, handler) as peer:
        assert await peer.line() == b"gave up"
        give(peer.sock, b"late\n", "kept")
        assert await peer.line() == b"late kept"


async def test_an_incomplete_request_is_an_eoferror_and_its_bytes_are_kept(path: str) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        with pytest.raises(EOFError):
            yield asking_for(ancillary)
        await client.send_packet("incomplete " + text_in(ancillary))
        await client.send_packet((yield None))

    async with unix_server(path, handler) as peer:
        give(peer.sock, b"one half, ", "first")
        assert await peer.line() == b"incomplete first"
        assert await peer.ask(b"and the other") == b"one half, and the other"


async def test_a_callback_that_fails_is_a_runtimeerror_and_its_bytes_are_dropped(path: str) -> None:
    def fail(raw: Any) -> None:
        received_text(raw)
        raise ZeroDivisionError

    async def handler(client: Client) -> Requests:
        with pytest.raises(RuntimeError) as info:
            yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(fail))
        assert isinstance(info.value.__cause__, ZeroDivisionError)
        await client.send_packet("failed")
        await client.send_packet((yield None))

    async with unix_server(path, handler) as peer:
        give(peer.sock, b"dropped\n")
        assert await peer.line() == b"failed"
        assert await peer.ask(b"next") == b"next"


async def test_a_server_without_room_for_ancillary_data_supports_none(path: str) -> None:
    async def handler(client: Client) -> Requests:
        with pytest.raises(UnsupportedOperation):
            yield asking_for(SocketAncillary())
        await client.send_packet((yield None))

    async with unix_server(path, handler, ancillary_bufsize=None) as peer:
        assert await peer.ask(b"plain") == b"plain"


async def test_the_end_of_the_stream_closes_a_handler_that_asks(path: str) -> None:
    closed = new_event()

    async def handler(client: Client) -> Requests:
        try:
            while True:
                ancillary = SocketAncillary()
                yield asking_for(ancillary)
        except GeneratorExit:
            assert not list(ancillary.iter_fds())
            closed.set()
            raise

    async with unix_server(path, handler) as peer:
        await settle()
        peer.half_close()
        assert await peer.rest() == b""
        await closed.wait()


@pytest.mark.parametrize("asks", [False, True], ids=["plain", "ancillary"])
async def test_a_peer_that_resets_while_the_handler_is_busy_is_noticed(path: str, asks: bool) -> None:
    busy, ended = new_event(), new_event()

    async def handler(client: Client) -> Requests:
        yield None
        await client.send_packet("unread")
        busy.set()
        await sleep(0.05)
        with pytest.raises(ConnectionResetError):
            yield asking_for(SocketAncillary()) if asks else None
        ended.set()

    async with unix_server(path, handler) as peer:
        await peer.send(b"hello\n")
        await busy.wait()
        await settle()
        peer.close()
        await ended.wait()


@pytest.mark.parametrize("ancillary_bufsize", [None, 1024])
async def test_a_reset_right_behind_a_request_is_noticed(path: str, ancillary_bufsize: int | None) -> None:
    ended = new_event()

    async def handler(client: Client) -> Requests:
        await client.send_packet("unread")
        assert (yield None) == "last words"
        with pytest.raises(ConnectionResetError):
            yield None
        ended.set()

    async with unix_server(path, handler, ancillary_bufsize=ancillary_bufsize) as peer:
        await settle()
        await peer.send(b"last words\n")
        peer.close()
        await ended.wait()


@pytest.mark.parametrize("then", [None, "asking again"])
async def test_truncated_descriptors_are_an_error_at_the_yield_and_the_request_is_kept(
    path: str, then: str | None
) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        with pytest.raises(OSError) as exc_info:
            yield asking_for(ancillary)
        assert exc_info.value.errno == errno.EMSGSIZE
        request = yield None if then is None else asking_for(ancillary)
        assert not ancillary.as_raw()
        await client.send_packet(request)
        request = yield asking_for(ancillary)
        await client.send_packet(f"{request} {received_text(ancillary)}")

    async with unix_server(path, handler, ancillary_bufsize=socket.CMSG_LEN(8)) as peer:
        with Gift() as gift:
            peer.sock.sendmsg([b"many\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, gift.raw[0][2] * 50)])
            assert await peer.line() == b"many"
            send_message(peer.sock, b"one\n", gift)
            assert await peer.line() == b"one gift"


async def test_truncated_descriptors_that_no_handler_asks_for_are_closed_in_silence(path: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        await client.send_packet(request)

    async with unix_server(path, handler, ancillary_bufsize=socket.CMSG_LEN(8)) as peer:
        with Gift() as gift:
            peer.sock.sendmsg([b"many\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, gift.raw[0][2] * 50)])
            assert await peer.line() == b"many"


# --- sending


@pytest.mark.parametrize("ancillary_bufsize", [None, 1024])
async def test_a_handler_sends_a_descriptor_with_its_answer(path: str, ancillary_bufsize: int | None) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            request = yield None
            await client.send_packet("before")
            with Gift(request) as gift:
                await client.send_packet_with_ancillary("with", gift.raw)
            await client.send_packet("after")

    async with unix_server(path, handler, ancillary_bufsize=ancillary_bufsize) as peer:
        for _ in range(2):
            await peer.send(b"give\n")
            await settle()
            assert receive_message(peer.sock) == (b"before\nwith\n", "give")
            assert await peer.line() == b"after"


async def test_an_answer_with_a_descriptor_waits_for_a_slow_peer(path: str) -> None:
    async def handler(client: Client) -> Requests:
        yield None
        with client.backend().move_on_after(0.05):
            while True:
                await client.send_packet("x" * 9_999)
        with Gift("patient") as gift:
            await client.send_packet_with_ancillary("last", gift.raw)
        await client.aclose()

    async with unix_server(path, handler) as peer:
        await peer.send(b"go\n")
        await sleep(0.1)
        peer.sock.setblocking(True)
        peer.sock.settimeout(PATIENCE)
        messages = []
        while (message := await ensure_backend(None).run_in_thread(receive_message, peer.sock, 1 << 16))[0]:
            messages.append(message)
        assert messages[-1][0].endswith(b"last\n")
        assert messages[-1][1] == "patient"
