"""The asynchronous client of Unix stream sockets, against plain sockets. What it shares with TCP is tested there."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.background import results, settle, sleep, spawn, spawn_in_order
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE, Peer, turns_of_the_loop
from tests.support.platforms import needs_abstract_names

from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.exceptions import ClientClosedError, StreamProtocolParseError
from easynetwork.lowlevel.socket import SocketAncillary, SocketProxy, UnixCredentials, UnixSocketAddress
from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer

EVERY_BACKEND = True

Client = AsyncUnixStreamClient[str, str]


def new_client(arg: Any, protocol: Any = None, **options: Any) -> Client:
    return AsyncUnixStreamClient(arg, protocol or line_protocol(), **options)


@contextlib.contextmanager
def listening(path: str | bytes) -> Any:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE)
        yield listener


@contextlib.asynccontextmanager
async def connected(protocol: Any = None, **options: Any) -> AsyncIterator[tuple[Client, Peer]]:
    """A client that has adopted its socket, and its peer. In the end, nothing is left open."""
    async with all_closed():
        ours, theirs = socket.socketpair()
        with contextlib.closing(Peer(theirs)) as peer:
            async with new_client(ours, protocol, **options) as client:
                yield client, peer


# -------------------------------------------------------------------------------------------------------- connecting


@pytest.mark.parametrize("kind", [str, os.fsencode, Path, UnixSocketAddress.from_pathname])
async def test_it_connects_to_any_kind_of_path(path: str, kind: Any) -> None:
    with listening(path) as listener:
        async with new_client(kind(path)) as client:
            assert client.is_connected()
            assert client.get_peer_name() == UnixSocketAddress.from_pathname(path)
            assert client.get_local_name().is_unnamed()
            with contextlib.closing(Peer(listener.accept()[0])) as peer:
                await client.send_packet("question")
                assert await peer.line() == b"question"
                await peer.send(b"answer\n")
                assert await client.recv_packet() == "answer"


@needs_abstract_names
async def test_it_connects_to_an_abstract_name(path: str) -> None:
    address = UnixSocketAddress.from_abstract_name(path)
    with listening(address.as_raw()):
        async with new_client(address) as client:
            assert client.get_peer_name() == address


async def test_a_failure_is_a_plain_oserror_and_may_be_repeated(path: str) -> None:
    client = new_client(path)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            await client.wait_connected()
        assert not client.is_connected()
        assert not client.is_closing()
    with listening(path):
        await client.wait_connected()
        assert client.is_connected()
        await client.aclose()


async def test_it_connects_when_first_used(path: str) -> None:
    with listening(path) as listener:
        client = new_client(path)
        await client.send_packet("hello")
        with contextlib.closing(Peer(listener.accept()[0])) as peer:
            assert await peer.line() == b"hello"
        await client.aclose()


async def test_it_is_bound_to_the_local_path_which_it_never_deletes(path: str) -> None:
    with listening(path) as listener:
        async with new_client(path, local_path=Path(path + ".client")) as client:
            assert str(client.get_local_name()) == path + ".client"
            peer, name = listener.accept()
            peer.close()
            assert name == path + ".client"
    assert os.path.exists(path + ".client")


@needs_abstract_names
async def test_an_empty_local_path_is_chosen_by_the_system(path: str) -> None:
    with listening(path):
        async with new_client(path, local_path="") as client:
            assert client.get_local_name().as_abstract_name()


async def test_closing_ends_an_attempt_to_connect(path: str) -> None:
    with listening(path) as listener, contextlib.ExitStack() as stack:
        listener.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        async with all_closed():
            client = new_client(path)
            connecting = spawn(client.wait_connected())
            await sleep(0.01)
            await client.aclose()
            with pytest.raises(ClientClosedError):
                await connecting.result()


async def test_facts_are_not_known_before_it_is_connected_nor_after_it_is_closed(path: str) -> None:
    with listening(path):
        client = new_client(path)
        facts = (client.get_local_name, client.get_peer_name, client.get_peer_credentials)
        for fact in facts:
            with pytest.raises(OSError) as info:
                fact()
            assert info.value.errno == errno.ENOTCONN
        with pytest.raises(AttributeError):
            _ = client.socket
        await client.wait_connected()
        assert isinstance(client.socket, SocketProxy)
        assert client.socket is client.socket
        await client.aclose()
        for fact in facts:
            with pytest.raises(ClientClosedError):
                fact()
        assert client.socket.fileno() == -1


async def test_the_credentials_of_the_peer_are_asked_for_once(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(path):
        async with new_client(path) as client:
            credentials = client.get_peer_credentials()
            assert isinstance(credentials, UnixCredentials)
            assert (credentials.uid, credentials.gid) == (os.geteuid(), os.getegid())
            monkeypatch.setattr("easynetwork.clients._unix_client.get_peer_credentials", None)
            assert client.get_peer_credentials() is credentials


# -------------------------------------------------------------------------------------------------- plain packets


@pytest.mark.parametrize("kind", [StreamProtocol, BufferedStreamProtocol])
async def test_packets_come_whole_however_they_are_cut(kind: Any) -> None:
    async with connected(kind(StringLineSerializer()), max_recv_size=3) as (client, peer):
        receiving = spawn(client.recv_packet())
        for piece in (b"one ", b"packet\nand ano", b"ther\n"):
            await peer.send(piece)
            await turns_of_the_loop(5)
        assert await receiving.result() == "one packet"
        assert await client.recv_packet() == "and another"


async def test_invalid_bytes_are_skipped() -> None:
    async with connected() as (client, peer):
        await peer.send(b"\xff\nnext\n")
        with pytest.raises(StreamProtocolParseError):
            await client.recv_packet()
        assert await client.recv_packet() == "next"


async def test_half_closing_leaves_receiving_open() -> None:
    async with connected() as (client, peer):
        await client.send_packet("last")
        await client.send_eof()
        assert await peer.rest() == b"last\n"
        await peer.send(b"answer\n")
        assert await client.recv_packet() == "answer"
        with pytest.raises(RuntimeError):
            await client.send_packet("more")


async def test_the_end_of_the_stream_is_connectionabortederror() -> None:
    async with connected() as (client, peer):
        await peer.send(b"last\nincomplete")
        peer.close()
        assert await client.recv_packet() == "last"
        for _ in range(2):
            with pytest.raises(ConnectionAbortedError):
                await client.recv_packet()
        with pytest.raises(ConnectionAbortedError):
            for _ in range(10):
                await client.send_packet("anybody there?")
                await settle()
        assert not client.is_closing()


async def test_receivers_take_turns() -> None:
    async with connected() as (client, peer):
        containers = (None, SocketAncillary(), None, SocketAncillary())
        receivers = await spawn_in_order(*(client.recv_packet(ancillary_data=container) for container in containers))
        for text in ("one", "two", "three", "four"):
            await peer.send(text.encode() + b"\n")
            await sleep(0.005)
        assert await results(*receivers) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("asks", [False, True], ids=["plain", "ancillary"])
async def test_a_receiver_is_told_that_the_client_was_closed(asks: bool) -> None:
    async with connected() as (client, _):
        receiving = spawn(client.recv_packet(ancillary_data=SocketAncillary() if asks else None))
        await turns_of_the_loop(5)
        await client.aclose()
        with pytest.raises(ClientClosedError):
            await receiving.result()


async def test_nothing_is_possible_once_it_is_closed() -> None:
    async with connected() as (client, _):
        await client.aclose()
        await client.aclose()
        await client.send_eof()
        with Gift() as gift:
            for attempt in (
                client.send_packet("x"),
                client.send_packet("x", ancillary_data=gift.ancillary),
                client.recv_packet(),
                client.recv_packet(ancillary_data=SocketAncillary()),
                client.wait_connected(),
            ):
                with pytest.raises(ClientClosedError):
                    await attempt


async def test_iteration_ends_with_the_stream() -> None:
    async with connected() as (client, peer):
        await peer.send(b"one\ntwo\n")
        peer.close()
        assert [packet async for packet in client.iter_received_packets(timeout=None)] == ["one", "two"]


# ------------------------------------------------------------------------------------------------------- ancillary data


async def test_descriptors_are_sent_with_a_packet_and_stay_in_the_container() -> None:
    async with connected() as (client, peer):
        with Gift("text") as gift:
            ancillary = gift.ancillary
            await client.send_packet("packet", ancillary_data=ancillary)
            assert list(ancillary.iter_fds()) == [gift.fd]
        assert receive_message(peer.sock) == (b"packet\n", "text")


async def test_senders_with_and_without_descriptors_keep_their_order() -> None:
    async with connected() as (client, peer):
        with Gift() as gift:
            sending = await spawn_in_order(
                client.send_packet("one"),
                client.send_packet("two", ancillary_data=gift.ancillary),
                client.send_packet("three"),
            )
            await results(*sending)
        assert receive_message(peer.sock) == (b"one\ntwo\n", "gift")
        assert await peer.line() == b"three"


async def test_a_packet_too_big_for_one_call_is_refused() -> None:
    async with connected() as (client, _):
        with pytest.raises(OSError) as info, Gift() as gift:
            await client.send_packet("x" * (1 << 22), ancillary_data=gift.ancillary)
        assert info.value.errno == errno.EMSGSIZE


async def test_an_empty_container_is_sent_as_nothing() -> None:
    async with connected() as (client, peer):
        await client.send_packet("packet", ancillary_data=SocketAncillary())
        assert receive_message(peer.sock) == (b"packet\n", None)


async def test_received_descriptors_are_added_to_the_container() -> None:
    async with connected() as (client, peer):
        received = SocketAncillary()
        for text in ("one", "two"):
            with Gift(text) as gift:
                send_message(peer.sock, text.encode() + b"\n", gift)
            assert await client.recv_packet(ancillary_data=received) == text
        fds = list(received.iter_fds())
        assert [os.read(fd, 10) for fd in fds] == [b"one", b"two"]
        for fd in fds:
            os.close(fd)


async def test_a_packet_received_before_adds_nothing() -> None:
    async with connected() as (client, peer):
        await peer.send(b"one\ntwo\n")
        assert await client.recv_packet() == "one"
        received = SocketAncillary()
        assert await client.recv_packet(ancillary_data=received) == "two"
        assert received.as_raw() == []


async def test_an_incomplete_packet_is_an_eoferror_and_its_bytes_are_kept() -> None:
    async with connected() as (client, peer):
        received = SocketAncillary()
        with Gift("text") as gift:
            send_message(peer.sock, b"one half, ", gift)
        with pytest.raises(EOFError):
            await client.recv_packet(ancillary_data=received)
        assert received_text(received) == "text"
        await peer.send(b"and the other\n")
        assert await client.recv_packet() == "one half, and the other"


async def test_a_cancelled_reception_loses_neither_bytes_nor_descriptors() -> None:
    async with connected() as (client, peer):
        received = SocketAncillary()
        receiving = spawn(client.recv_packet(ancillary_data=received))
        await turns_of_the_loop(5)
        with Gift("kept") as gift:
            send_message(peer.sock, b"packet\n", gift)
        receiving.cancel()
        await receiving.wait()  # whichever comes first
        again = client.recv_packet(ancillary_data=received) if receiving.cancelled() else receiving.result()
        assert await again == "packet"
        assert received_text(received) == "kept"


async def test_descriptors_without_a_container_are_closed() -> None:
    async with connected() as (client, peer):
        async with all_closed():
            with Gift() as gift:
                send_message(peer.sock, b"packet\n", gift)
            assert await client.recv_packet() == "packet"


async def test_too_little_room_for_ancillary_data_is_an_error_and_the_packet_is_kept() -> None:
    async with connected() as (client, peer):
        received = SocketAncillary()
        with Gift() as gift:
            many = SocketAncillary()
            many.add_fds([gift.fd] * 5)
            peer.sock.sendmsg([b"packet\n"], many.as_raw())
        with pytest.raises(OSError) as exc_info:
            await client.recv_packet(ancillary_data=received, ancillary_bufsize=socket.CMSG_LEN(8))
        assert exc_info.value.errno == errno.EMSGSIZE
        assert not received.as_raw()
        assert await client.recv_packet(ancillary_data=received) == "packet"
        assert not received.as_raw()


async def test_room_without_a_container_is_refused() -> None:
    async with connected() as (client, _):
        with pytest.raises(ValueError, match="ancillary_data"):
            await client.recv_packet(ancillary_bufsize=100)


@pytest.mark.parametrize("value", [0, -1, 1.5])
async def test_room_must_be_a_strictly_positive_integer(value: Any) -> None:
    async with connected() as (client, _):
        with pytest.raises(ValueError, match="ancillary_bufsize"):
            await client.recv_packet(ancillary_data=SocketAncillary(), ancillary_bufsize=value)


async def test_a_sender_cut_off_by_a_cancelled_close_is_told_that_the_client_was_closed() -> None:
    async with connected() as (client, _):

        async def flood() -> None:
            with Gift() as gift:
                while True:
                    await client.send_packet("x" * 10_000, ancillary_data=gift.ancillary)

        sending = spawn(flood())
        await sleep(0.02)
        with pytest.raises(TimeoutError), client.backend().timeout(0.01):
            await client.aclose()
        with pytest.raises((ClientClosedError, OSError)):
            await sending.result()
        assert client.is_closing()
