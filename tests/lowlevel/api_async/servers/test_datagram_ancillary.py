"""Datagrams with ancillary data, and the generators that want it or not, over real Unix sockets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.support.background import until
from tests.support.descriptors import (
    Gift,
    all_closed,
    asking_for,
    give,
    receive_message,
    received_text,
    text_in,
)
from tests.support.lowlevel_datagram_servers import TEXT, Client, Handler, Requests, WrappedListener, run
from tests.support.peers import PATIENCE, DatagramPeer

from easynetwork.exceptions import DatagramProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary

PLAIN: Any = object()
"""Serves without ancillary data."""


class TextPeer(DatagramPeer):
    """Sends text, maybe with a file. The answers are text, and maybe that in a file."""

    def say(self, *texts: str) -> None:
        self.send(*(text.encode() for text in texts))

    def give(self, data: str, text: str) -> None:
        give(self.sock, data.encode(), text)

    async def answer(self) -> tuple[str, str | None]:
        async with asyncio.timeout(PATIENCE):
            await until(self.has_received)
        data, text = receive_message(self.sock)
        return data.decode(), text

    async def text_answers(self, count: int) -> list[str]:
        return [(await self.answer())[0] for _ in range(count)]


@contextlib.asynccontextmanager
async def unix_server(
    folder: Path, handler: Handler, driver: str, *, unused: Callable[[Any, Any], object] | None = None
) -> AsyncIterator[tuple[AsyncDatagramServer[str, str, Any], Callable[[str], TextPeer]]]:
    """Give the server, and what makes peers that are bound to a name, or to none. In the end, no descriptor is left."""
    async with all_closed(), contextlib.AsyncExitStack() as stack:

        def new_peer(name: str) -> TextPeer:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            if name:
                sock.bind(str(folder / name))
            sock.connect(str(folder / "server"))
            return TextPeer(sock)

        listener = await AsyncIOBackend().create_unix_datagram_listener(str(folder / "server"))
        server: AsyncDatagramServer[str, str, Any] = AsyncDatagramServer(
            WrappedListener(listener) if driver == "pull" else listener, TEXT
        )
        if unused is PLAIN:
            serve: Callable[[], Coroutine[Any, Any, NoReturn]] = partial(server.serve, handler)
        else:
            serve = partial(server.serve_with_ancillary, handler, 1024, unused)
        async with run(server, serve), asyncio.timeout(PATIENCE):
            yield server, new_peer


async def always_asking(client: Client) -> Requests:
    while True:
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await client.server.send_packet_to(f"{request}: {text_in(ancillary)}", client.address)


async def never_asking(client: Client) -> Requests:
    while True:
        request = yield None
        await client.server.send_packet_to(request, client.address)


async def test_each_request_brings_its_own_files(tmp_path: Path, driver: str) -> None:
    async with unix_server(tmp_path, always_asking, driver) as (_, new_peer):
        peer = new_peer("peer")
        peer.give("a", "one")
        peer.say("b")
        peer.give("c", "two")
        assert await peer.text_answers(3) == ["a: one", "b: -", "c: two"]


async def test_answers_carry_files(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        with Gift("back") as gift:
            await client.server.send_packet_with_ancillary_to(request, iter(gift.raw), client.address)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        peer.say("a", "b")
        assert [await peer.answer() for _ in range(2)] == [("a", "back"), ("b", "back")]


async def test_files_that_nobody_asks_for_are_closed_at_once(tmp_path: Path, driver: str) -> None:
    async with unix_server(tmp_path, never_asking, driver) as (_, new_peer):
        peer = new_peer("peer")
        peer.say("a")
        assert await peer.text_answers(1) == ["a"]
        async with all_closed():
            for _ in range(3):
                peer.give("b", "unwanted")
            assert await peer.text_answers(3) == ["b", "b", "b"]


async def test_unused_files_are_given_away_with_their_sender(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        if client.address == ignored.address:
            return
        first = yield None
        ancillary = SocketAncillary()
        second = yield asking_for(ancillary)
        await client.server.send_packet_to(f"{first} {second}: {text_in(ancillary)}", client.address)

    unused: list[tuple[str, Any]] = []

    def keep(raw: Any, address: Any) -> None:
        if raw:
            unused.append((received_text(raw), address))

    async with unix_server(tmp_path, handler, driver, unused=keep) as (_, new_peer):
        peer, ignored = new_peer("peer"), new_peer("ignored")
        ignored.give("x", "of a handler that never asks")
        peer.give("a", "of a handler that does not want it")
        peer.give("b", "wanted")
        assert await peer.text_answers(1) == ["a b: wanted"]
        addresses = (ignored.address, peer.address)
    assert unused == [
        ("of a handler that never asks", addresses[0]),
        ("of a handler that does not want it", addresses[1]),
    ]


async def test_files_wait_for_a_busy_handler_with_their_datagrams(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        await go_on.wait()
        await client.server.send_packet_to(f"{request}: {text_in(ancillary)}", client.address)

    go_on = asyncio.Event()
    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        for i in range(5):
            peer.give(f"{i}", f"file {i}")
        await asyncio.sleep(0.01)
        go_on.set()
        assert await peer.text_answers(5) == [f"{i}: file {i}" for i in range(5)]


@pytest.mark.parametrize("is_full", [False, True], ids=["stopped", "full"])
async def test_files_of_datagrams_that_are_dropped_are_closed(tmp_path: Path, driver: str, is_full: bool) -> None:
    async def handler(client: Client) -> Requests:
        yield None
        await client.server.send_packet_to("busy", client.address)
        await asyncio.get_running_loop().create_future()

    async with unix_server(tmp_path, handler, driver) as (server, new_peer):
        peer = new_peer("peer")
        peer.say("a")
        assert await peer.text_answers(1) == ["busy"]
        if is_full:
            server._backlog.of_one_sender = 0
        for _ in range(5):
            peer.give("x", "dropped")
        await asyncio.sleep(0.01)
        assert server.dropped_datagrams == (5 if is_full else 0)


async def test_files_of_a_handler_that_ends_early_or_fails_are_closed(
    tmp_path: Path, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun = 0

    async def handler(client: Client) -> Requests:
        nonlocal begun
        begun += 1
        if begun == 1:
            return
        if begun == 2:
            raise LookupError
        try:
            yield -1
        except ValueError:
            pass
        else:
            pytest.fail("a negative time-out was accepted")
        request = yield None
        await client.server.send_packet_to(request, client.address)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        for text in ("returns", "fails", "yields nonsense"):
            peer.give(text, "unwanted")
        peer.say("fine")
        assert await peer.text_answers(1) == ["fine"]
    assert len(caplog.records) == 1


async def test_an_exception_of_who_takes_files_is_raised_at_the_yield(tmp_path: Path, driver: str) -> None:
    def fail(raw: Any, address: Any = None) -> None:
        for text in [received_text(raw)] if raw else []:
            raise LookupError(text)

    async def handler(client: Client) -> Requests:
        answers = []
        for params in (RecvParams(recv_with_ancillary=RecvAncillaryDataParams(fail)), None):
            try:
                answers.append((yield params))
            except RuntimeError as exc:
                answers.append(repr(exc.__cause__))
        await client.server.send_packet_to(" ".join(answers), client.address)

    async with unix_server(tmp_path, handler, driver, unused=fail) as (_, new_peer):
        peer = new_peer("peer")
        peer.give("a", "claimed")
        peer.give("b", "unused")
        peer.say("c", "d")
        assert await peer.text_answers(2) == ["LookupError('claimed') LookupError('unused')", "c d"]


async def test_files_are_received_with_a_datagram_that_is_no_packet(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        with pytest.raises(DatagramProtocolParseError):
            yield asking_for(ancillary)
        await client.server.send_packet_to(text_in(ancillary), client.address)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        peer.give("é", "file")
        assert await peer.text_answers(1) == ["file"]


async def test_a_yield_that_times_out_claims_nothing(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        await client.server.send_packet_to((yield None), client.address)
        ancillary = SocketAncillary()
        with pytest.raises(TimeoutError):
            yield asking_for(ancillary, timeout=0.001)
        await client.server.send_packet_to(text_in(ancillary), client.address)
        request = yield asking_for(ancillary, timeout=PATIENCE)
        await client.server.send_packet_to(f"{request}: {text_in(ancillary)}", client.address)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        peer.say("a")
        assert await peer.text_answers(2) == ["a", "-"]
        peer.give("b", "file")
        assert await peer.text_answers(1) == ["b: file"]


@pytest.mark.parametrize("timeout", [-1, math.nan])
async def test_a_first_yield_with_a_bad_timeout_gets_the_files_and_then_the_error(
    tmp_path: Path, driver: str, timeout: float
) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        with pytest.raises(ValueError, match="timeout"):
            yield asking_for(ancillary, timeout=timeout)
        await client.server.send_packet_to(text_in(ancillary), client.address)
        with pytest.raises(ValueError, match="timeout"):  # no datagram is there already
            yield asking_for(ancillary, timeout=timeout)
        await client.server.send_packet_to((yield None), client.address)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        for _ in range(2):
            peer.give("lost", "file")
            assert await peer.text_answers(1) == ["file"]
            peer.say("next")
            assert await peer.text_answers(1) == ["next"]


async def test_a_first_yield_with_a_bad_timeout_that_claims_nothing_gives_nothing(tmp_path: Path, driver: str) -> None:
    unused: list[str] = []

    async def handler(client: Client) -> Requests:
        with pytest.raises(ValueError, match="timeout"):
            yield RecvParams(timeout=-1)
        await client.server.send_packet_to((yield None), client.address)

    def keep(raw: Any, address: Any) -> None:
        unused.extend([received_text(raw)] if raw else [])

    async with unix_server(tmp_path, handler, driver, unused=keep) as (_, new_peer):
        peer = new_peer("peer")
        peer.give("lost", "file")
        peer.say("next")
        assert await peer.text_answers(1) == ["next"]
        assert unused == ["file"]


async def test_asking_a_server_without_ancillary_data_is_unsupported(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        with pytest.raises(UnsupportedOperation):
            yield asking_for(ancillary)
        request = yield None
        await client.server.send_packet_to(request, client.address)

    async with unix_server(tmp_path, handler, driver, unused=PLAIN) as (_, new_peer):
        peer = new_peer("peer")
        peer.give("a", "dropped by the system")
        peer.give("b", "dropped by the system")
        assert await peer.text_answers(1) == ["b"]


async def test_senders_without_a_name_are_heard_and_cannot_be_answered(tmp_path: Path, driver: str) -> None:
    heard: list[str] = []

    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        request = yield asking_for(ancillary)
        heard.append(f"{client.address} {request}: {text_in(ancillary)}")
        try:
            await client.server.send_packet_to(request, client.address)
        except OSError as exc:
            heard.append("ENOTCONN" if exc.errno == errno.ENOTCONN else repr(exc))

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        new_peer("").give("a", "one")
        new_peer("").give("b", "two")
        named = new_peer("named")
        named.say("c")
        assert await named.text_answers(1) == ["c"]
    assert heard == ["None a: one", "ENOTCONN", "None b: two", "ENOTCONN", f"{tmp_path / 'named'} c: -"]


async def test_a_sender_that_reads_nothing_holds_up_nobody_else(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        for _ in range(1000 if request == "flood" else 1):
            await client.server.send_packet_to(request, client.address)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        other = new_peer("other")
        # Connected to another socket, it has a queue of its own that can be full. Otherwise what the listener may have
        # sent that was not yet received is limited, for all together.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
            slow.bind(str(tmp_path / "slow"))
            slow.sendto(b"flood", str(tmp_path / "server"))
            for _ in range(10):
                other.say("hello")
                assert await other.text_answers(1) == ["hello"]
                await asyncio.sleep(0.001)
            for _ in range(1000):
                await asyncio.to_thread(slow.recv, 100)


async def test_descriptors_are_open_until_the_handler_closes_them(tmp_path: Path, driver: str) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        yield asking_for(ancillary)
        await asyncio.sleep(0)
        for fd in ancillary.iter_fds():
            await client.server.send_packet_to(os.read(fd, 100).decode(), client.address)
            os.close(fd)

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        peer.give("a", "still open")
        assert await peer.text_answers(1) == ["still open"]


# --- truncated by the system


async def answer(client: Client, text: str) -> None:
    await client.server.send_packet_to(text, client.address)


def give_many(peer: TextPeer, data: str) -> None:
    """More files than the server has room for."""
    with Gift() as gift:
        peer.sock.sendmsg([data.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, gift.raw[0][2] * 253)])


@pytest.mark.parametrize("is_busy", [False, True])
async def test_truncated_files_are_an_error_at_the_yield_and_the_datagram_is_kept(
    tmp_path: Path, driver: str, is_busy: bool
) -> None:
    go_on = asyncio.Event()

    async def handler(client: Client) -> Requests:
        if is_busy:
            yield None
            await go_on.wait()
        ancillary = SocketAncillary()
        with pytest.raises(OSError) as exc_info:
            yield asking_for(ancillary)
        assert exc_info.value.errno == errno.EMSGSIZE
        await answer(client, (yield asking_for(ancillary)))
        assert not ancillary.as_raw()
        await answer(client, f"{yield asking_for(ancillary)} {received_text(ancillary)}")

    async with unix_server(tmp_path, handler, driver) as (_, new_peer):
        peer = new_peer("peer")
        if is_busy:
            peer.say("first")
        give_many(peer, "many")
        peer.give("one", "gift")
        go_on.set()
        assert await peer.text_answers(2) == ["many", "one gift"]


@pytest.mark.parametrize("how", ["it fails", "it returns"])
async def test_a_datagram_that_was_refused_goes_to_no_other_generator(
    tmp_path: Path, driver: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        ancillary = SocketAncillary()
        try:
            request = yield asking_for(ancillary)
        except OSError:
            if how == "it fails":
                raise
            return
        await answer(client, f"{request} {received_text(ancillary)}")

    async with unix_server(tmp_path, handler, driver) as (server, new_peer):
        peer = new_peer("peer")
        give_many(peer, "many")
        peer.give("one", "gift")
        assert await peer.text_answers(1) == ["one gift"]
        assert not server.dropped_datagrams
    assert len(caplog.records) == (how == "it fails")


async def test_truncated_files_that_no_handler_asks_for_are_closed_in_silence(tmp_path: Path, driver: str) -> None:
    unused: list[Any] = []

    async with unix_server(tmp_path, never_asking, driver, unused=lambda *args: unused.append(args)) as (_, new_peer):
        peer = new_peer("peer")
        give_many(peer, "many")
        await peer.text_answers(1)
    assert not unused
