"""The server on a Unix datagram socket: its path, senders without a name, ancillary data."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.support.background import Queue, until
from tests.support.datagram_servers import (
    Client,
    Handler,
    Recorder,
    Requests,
    has_unix_datagrams,
    run,
)
from tests.support.descriptors import Gift, all_closed, receive_message, received_text, send_message
from tests.support.lines import text_protocol
from tests.support.network_servers import problems
from tests.support.peers import PATIENCE, DatagramPeer
from tests.support.platforms import needs_abstract_names

from easynetwork.exceptions import ClientClosedError, ServerClosedError, TypedAttributeLookupError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary, SocketAttribute, SocketProxy, UnixSocketAddress
from easynetwork.servers.async_unix_datagram import AsyncUnixDatagramServer
from easynetwork.servers.handlers import UNIXClientAttribute

EVERY_BACKEND = True

Server = AsyncUnixDatagramServer[str, str]


@pytest.fixture(autouse=True)
def _skip_where_there_are_none(request: pytest.FixtureRequest) -> None:
    if "backend" in request.fixturenames and not has_unix_datagrams(request.getfixturevalue("backend")):
        pytest.skip("this backend has no Unix datagram sockets")


def new_server(backend: Any, path: Any, handler: Handler | None = None, **options: Any) -> Server:
    return AsyncUnixDatagramServer(path, text_protocol(), handler or Handler(), backend, **options)


# --------------------------------------------------------------------------------------------------------- arguments
# By whatever backend: here, it is not asked for anything.


@pytest.mark.parametrize("value", [0, -1, 1.5, "1"])
def test_room_for_ancillary_data_must_be_a_strictly_positive_integer(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match="ancillary_bufsize"):
        new_server("trio", path, receive_ancillary_data=True, ancillary_bufsize=value)


@pytest.mark.parametrize("value", [0, 1, 1024])
def test_room_for_ancillary_data_is_refused_if_none_is_received(path: str, value: int) -> None:
    all_options: list[dict[str, Any]] = [{}, {"receive_ancillary_data": False}]
    for options in all_options:
        with pytest.raises(ValueError, match="receive_ancillary_data"):
            new_server("trio", path, ancillary_bufsize=value, **options)


@pytest.mark.parametrize("value", ["", "IGNORE", "other", 1, False, ["warn"]])
def test_unknown_behavior_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match="unnamed_addresses_behavior"):
        new_server("trio", path, unnamed_addresses_behavior=value)


# ------------------------------------------------------------------------------------------------------------ clients


async def test_client_has_the_names_of_both_ends(backend: AsyncBackend, path: str) -> None:
    handler = Recorder()
    async with run(new_server(backend, path, handler)) as it:
        peer = it.peer()
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        peer_name = client.extra(UNIXClientAttribute.peer_name)
        assert peer_name == UnixSocketAddress.from_pathname(peer.address)
        assert client.extra(UNIXClientAttribute.local_name) == UnixSocketAddress.from_pathname(path)
        assert client.extra(SocketAttribute.family) == socket.AF_UNIX
        sock = client.extra(UNIXClientAttribute.socket)
        assert isinstance(sock, SocketProxy)
        assert sock.getsockname() == path
        with pytest.raises(TypedAttributeLookupError):
            client.extra(UNIXClientAttribute.peer_credentials)
        assert peer.address in repr(client)
        await it.server.server_close()
        assert client.extra(UNIXClientAttribute.peer_name) == peer_name


@needs_abstract_names
async def test_client_with_an_abstract_name_is_handled_like_any_other(backend: AsyncBackend, path: str) -> None:
    handler = Recorder()
    async with run(new_server(backend, path, handler)) as it:
        peer = it.peer(is_named=False)
        peer.sock.bind(b"")
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        assert client.extra(UNIXClientAttribute.peer_name) == UnixSocketAddress.from_raw(peer.address)
        assert client.extra(UNIXClientAttribute.peer_name).as_abstract_name()


async def test_client_that_has_gone_is_an_oserror_for_who_sends_to_it(backend: AsyncBackend, path: str) -> None:
    handler = Recorder()
    async with run(new_server(backend, path, handler)) as it:
        peer, other = it.peer(), it.peer()
        assert await peer.ask(b"a") == b"a"
        [client] = handler.clients
        peer.sock.close()
        with pytest.raises(ConnectionRefusedError):
            await client.send_packet("anybody?")
        assert not client.is_closing()
        assert await other.ask(b"b") == b"b"


# ------------------------------------------------------------------------------------------------ senders without name


@pytest.mark.parametrize("behavior", [None, "ignore", "warn"])
@pytest.mark.parametrize("receive_ancillary_data", [False, True])
async def test_sender_without_a_name_is_not_handled(
    backend: AsyncBackend,
    path: str,
    caplog: pytest.LogCaptureFixture,
    behavior: Any,
    receive_ancillary_data: bool,
) -> None:
    handler = Recorder()
    options = {"unnamed_addresses_behavior": behavior, "receive_ancillary_data": receive_ancillary_data}
    async with all_closed(), run(new_server(backend, path, handler, **options)) as it:
        nameless, peer = it.peer(is_named=False), it.peer()
        with Gift() as gift:
            send_message(nameless.sock, b"guess who", gift)
        nameless.send(b"\xff")
        assert await peer.ask(b"a") == b"a"
    assert handler.diary == ["a"]
    records = problems(caplog.records)
    assert [record.levelno for record in records] == [logging.WARNING] * (2 if behavior == "warn" else 0)
    assert not any(record.exc_info for record in records)


async def test_sender_without_a_name_is_handled_if_asked_for_but_cannot_be_answered(
    backend: AsyncBackend, path: str
) -> None:
    errors: Queue[OSError] = Queue(backend)

    class Curious(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            self.clients.append(client)
            self.diary.append((yield None))
            with pytest.raises(OSError) as info:
                await client.send_packet("who is there?")
            errors.put_nowait(info.value)
            with pytest.raises(OSError) as info, Gift() as gift:
                await client.send_packet_with_ancillary("who is there?", gift.raw)
            errors.put_nowait(info.value)

    handler = Curious()
    async with run(new_server(backend, path, handler, unnamed_addresses_behavior="handle")) as it:
        for nameless in (it.peer(is_named=False), it.peer(is_named=False)):
            nameless.send(b"guess who")
            assert (await errors.get()).errno == errno.EINVAL
            assert (await errors.get()).errno == errno.EINVAL
        assert handler.diary == ["guess who"] * 2
        first, second = handler.clients
        assert first is not second
        assert not first.is_closing()
        assert first.extra(UNIXClientAttribute.peer_name).is_unnamed()
        assert "<unnamed>" in repr(first)
        assert hash(first) == hash(second)
        await it.server.shutdown()
        with pytest.raises(ClientClosedError):
            await first.send_packet("too late")


async def test_error_for_a_sender_without_a_name_is_logged_like_any_other(
    backend: AsyncBackend, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with run(new_server(backend, path, unnamed_addresses_behavior="handle")) as it:
        nameless, peer = it.peer(is_named=False), it.peer()
        nameless.send(b"guess who")
        assert await peer.ask(b"a") == b"a"
        await until(lambda: len(problems(caplog.records)) == 1)
        [record] = problems(caplog.records)
        assert "<unnamed>" in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], OSError)


# ------------------------------------------------------------------------------------------------------ ancillary data


class Exchange(Handler):
    """Gives back each file that it gets, as a copy of its own."""

    async def handle(self, client: Client, /) -> Requests:
        ancillary = SocketAncillary()
        request = yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(ancillary.update_from_raw))
        if list(ancillary.iter_fds()):
            with Gift("copy of " + received_text(ancillary)) as gift:
                await client.send_packet_with_ancillary(request, gift.raw)
        else:
            await client.send_packet(request)


async def receive_file(backend: AsyncBackend, peer: DatagramPeer) -> tuple[bytes, str | None]:
    await until(peer.has_received)
    return receive_message(peer.sock)


@pytest.mark.parametrize("options", [{}, {"ancillary_bufsize": 1024}])
async def test_files_go_both_ways(backend: AsyncBackend, path: str, options: dict[str, Any]) -> None:
    async with all_closed():
        async with run(new_server(backend, path, Exchange(), receive_ancillary_data=True, **options)) as it:
            peer = it.peer()
            for number in range(3):
                with Gift(f"file {number}") as gift:
                    send_message(peer.sock, b"file", gift)
                assert await receive_file(backend, peer) == (b"file", f"copy of file {number}")
                assert await peer.ask(b"no file") == b"no file"


async def test_file_is_received_before_a_bad_timeout_of_the_first_yield_is_refused(
    backend: AsyncBackend, path: str
) -> None:
    class Wrong(Handler):
        async def handle(self, client: Client, /) -> Requests:
            ancillary = SocketAncillary()
            with pytest.raises(ValueError, match="timeout"):
                yield RecvParams(timeout=-1, recv_with_ancillary=RecvAncillaryDataParams(ancillary.update_from_raw))
            await client.send_packet(received_text(ancillary))

    async with all_closed(), run(new_server(backend, path, Wrong(), receive_ancillary_data=True)) as it:
        peer = it.peer()
        with Gift("a file") as gift:
            send_message(peer.sock, b"lost", gift)
        assert await peer.receive() == b"a file"


async def test_file_of_a_sender_without_a_name_is_for_the_handler_that_wants_it(
    backend: AsyncBackend, path: str
) -> None:
    texts: Queue[str] = Queue(backend)

    class Reading(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield RecvParams(
                recv_with_ancillary=RecvAncillaryDataParams(lambda raw: texts.put_nowait(received_text(raw)))
            )

    options: dict[str, Any] = {"unnamed_addresses_behavior": "handle", "receive_ancillary_data": True}
    async with all_closed(), run(new_server(backend, path, Reading(), **options)) as it:
        with Gift("from nobody") as gift:
            send_message(it.peer(is_named=False).sock, b"file", gift)
        assert await texts.get() == "from nobody"


async def test_server_without_ancillary_data_gets_none_of_the_files(backend: AsyncBackend, path: str) -> None:
    async with all_closed(), run(new_server(backend, path)) as it:
        peer = it.peer()
        with Gift() as gift:
            send_message(peer.sock, b"file", gift)
        assert await peer.receive() == b"file"


async def test_callback_that_fails_is_a_runtime_error_at_the_yield(backend: AsyncBackend, path: str) -> None:
    def fail(raw: Any) -> None:
        received_text(raw)
        raise LookupError("on purpose")

    class Failing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            with pytest.raises(RuntimeError) as caught:
                yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(fail))
            await client.send_packet(type(caught.value.__cause__).__name__)

    async with all_closed(), run(new_server(backend, path, Failing(), receive_ancillary_data=True)) as it:
        peer = it.peer()
        with Gift() as gift:
            send_message(peer.sock, b"file", gift)
        assert await peer.receive() == b"LookupError"


class Careless(Recorder):
    """Never claims what comes along with the requests."""

    go_on: Any = None

    async def handle(self, client: Client, /) -> Requests:
        request: str | None = None
        if not self.diary:
            self.diary.append("called")
            with contextlib.suppress(TypeError):
                request = yield "no way"  # type: ignore[misc] # that is how a datagram is lost
        elif len(self.diary) == 1:
            self.diary.append("discards")
            return
        elif len(self.diary) == 2:
            self.diary.append("fails")
            raise LookupError("on purpose")
        if request is None:
            try:
                request = yield 10.0
            except UnicodeError:
                request = "?"
        if request == "wait":
            await self.go_on.wait()
        await client.send_packet(request)


async def test_files_that_no_handler_claims_are_closed(backend: AsyncBackend, path: str) -> None:
    """Asked for without them, lost, discarded before a yield, lost to an error, invalid, waiting for a busy handler."""
    async with all_closed(), run(new_server(backend, path, Careless(), receive_ancillary_data=True)) as it:
        peer = it.peer()
        sent = [b"lost", b"plain", b"discarded", b"lost to an error", b"\xff", b"plain"]
        for datagram in sent:
            with Gift() as gift:
                send_message(peer.sock, datagram, gift)
        assert await peer.answers(2) == [b"plain", b"plain"]


@pytest.mark.parametrize("where", ["before the yield", "at work"])
async def test_files_are_closed_when_the_server_stops_before_they_are_asked_for(
    backend: AsyncBackend, path: str, where: str
) -> None:
    class Stuck(Recorder):
        async def handle(self, client: Client, /) -> Requests:
            self.diary.append("called")
            if where == "before the yield":
                await backend.sleep_forever()
            yield None
            await backend.sleep_forever()

    handler = Stuck()
    async with all_closed(), run(new_server(backend, path, handler, receive_ancillary_data=True)) as it:
        for peer in (it.peer(), it.peer()):
            for _ in range(3):
                with Gift() as gift:
                    send_message(peer.sock, b"file", gift)
        await until(lambda: len(handler.diary) == 2)
        await backend.sleep(0.01)


async def test_files_in_the_queue_of_a_closed_socket_are_closed_by_the_system(backend: AsyncBackend, path: str) -> None:
    async with all_closed():
        async with new_server(backend, path, receive_ancillary_data=True):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.connect(path)
                with Gift() as gift:
                    send_message(sock, b"file", gift)


async def test_closed_client_takes_no_ancillary_data(backend: AsyncBackend, path: str) -> None:
    handler = Recorder()
    async with run(new_server(backend, path, handler)) as it:
        assert await it.peer().ask(b"a") == b"a"
        await it.server.shutdown()
        with Gift() as gift, pytest.raises(ClientClosedError):
            await handler.clients[0].send_packet_with_ancillary("late", gift.raw)


# ------------------------------------------------------------------------------------------------------------- closing


async def test_file_is_gone_before_the_service_is(backend: AsyncBackend, path: str) -> None:
    """The path of a server that is closed is free, whatever its handlers still do."""
    go_on = backend.create_event()

    class Working(Recorder):
        async def service_init(self, exit_stack: AsyncExitStack, server: Any, /) -> None:
            exit_stack.callback(self.diary.append, "exit")

        async def handle(self, client: Client, /) -> Requests:
            self.diary.append((yield None))
            await go_on.wait()

    handler = Working()
    async with run(new_server(backend, path, handler)) as it:
        it.peer().send(b"a")
        await until(lambda: handler.diary)
        await it.server.server_close()
        assert not os.path.lexists(path)
        async with run(new_server(backend, path)) as successor:
            assert await successor.peer().ask(b"b") == b"b"
        go_on.set()
        with backend.timeout(PATIENCE):
            await it.task.wait()
        with pytest.raises(ServerClosedError):
            await it.server.serve_forever()
    assert handler.diary == ["a", "exit"]
