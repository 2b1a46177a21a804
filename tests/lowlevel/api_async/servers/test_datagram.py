"""What a server of datagrams is, and how generators and datagrams meet."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import weakref
from functools import partial
from typing import Any

import pytest
from tests.support.background import running_task, until
from tests.support.lines import line_protocol
from tests.support.lowlevel_datagram_servers import (
    TEXT,
    Client,
    Requests,
    serving,
)
from tests.support.peers import PATIENCE

from easynetwork.exceptions import BusyResourceError, DatagramProtocolParseError, UnsupportedOperation
from easynetwork.lowlevel.api_async.backend._asyncio.backend import AsyncIOBackend
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer, DatagramClientContext
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import DatagramProtocol
from easynetwork.serializers.line import StringLineSerializer


async def echo(client: Client) -> Requests:
    while True:
        request = yield None
        await client.server.send_packet_to(request, client.address)


async def echo_once(client: Client) -> Requests:
    request = yield None
    await client.server.send_packet_to(request, client.address)


async def new_server() -> AsyncDatagramServer[str, str, Any]:
    [listener] = await AsyncIOBackend().create_udp_listeners("127.0.0.1", 0)
    return AsyncDatagramServer(listener, TEXT)


# --- the server


async def test_wrong_arguments_are_refused() -> None:
    [listener] = await AsyncIOBackend().create_udp_listeners("127.0.0.1", 0)
    async with listener:
        bad: Any
        for bad in (None, object(), TEXT):
            with pytest.raises(TypeError, match="AsyncDatagramListener"):
                AsyncDatagramServer(bad, TEXT)
        for bad in (None, StringLineSerializer(), line_protocol()):
            with pytest.raises(TypeError, match="DatagramProtocol"):
                AsyncDatagramServer(listener, bad)


async def test_server_delegates_to_its_listener() -> None:
    server = await new_server()
    assert server.extra(SocketAttribute.sockname)[0] == "127.0.0.1"
    assert isinstance(server.backend(), AsyncIOBackend)
    assert "127.0.0.1" in repr(server)
    assert not server.is_closing()
    await server.aclose()
    await server.aclose()
    assert server.is_closing()


async def test_forgotten_server_warns() -> None:
    server: AsyncDatagramServer[str, str, Any] | None = await new_server()
    assert server is not None
    listener = server._transport
    with pytest.warns(ResourceWarning, match="unclosed server"):
        server = None
    await listener.aclose()


async def test_second_serve_is_refused() -> None:
    async with serving(echo) as running:
        with pytest.raises(BusyResourceError):
            await running.server.serve(echo)
        with pytest.raises(BusyResourceError):
            await running.server.serve_with_ancillary(echo, 1024)


async def test_closing_while_serving_ends_serve_with_ebadf_and_cancels_the_handlers(driver: str) -> None:
    endings: list[str] = []

    async def handler(client: Client) -> Requests:
        try:
            await client.server.send_packet_to((yield None), client.address)
            if client.address == waiting.address:
                yield None
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            endings.append("cancelled")
            raise

    async with serving(handler, driver) as running:
        waiting, busy = running.peer(), running.peer()
        assert await waiting.ask(b"a") == b"a"
        assert await busy.ask(b"b") == b"b"
        await running.server.aclose()
        async with asyncio.timeout(PATIENCE):
            await running.task.wait()
        assert isinstance(running.task.error, OSError)
        assert running.task.error.errno == errno.EBADF
        assert endings == ["cancelled", "cancelled"]
        with pytest.raises(OSError):
            await running.server.serve(handler)


async def test_server_can_be_served_again(driver: str) -> None:
    async with serving(echo, driver) as running:
        peer = running.peer()
        assert await peer.ask(b"first") == b"first"
        await running.stop()
        peer.send(b"in between")
        async with running_task(running.server.backend(), partial(running.server.serve, echo)):
            assert await peer.receive() == b"in between"
            assert await peer.ask(b"second") == b"second"


async def test_packets_can_be_sent_to_anyone_from_any_task(driver: str) -> None:
    async with serving(echo, driver) as running:
        peers = [running.peer() for _ in range(5)]
        async with asyncio.TaskGroup() as tasks:
            for i, peer in enumerate(peers):
                tasks.create_task(running.server.send_packet_to(f"to {i}", peer.address))
        assert [await peer.receive() for peer in peers] == [b"to %d" % i for i in range(5)]


async def test_serializer_crash_while_sending_is_a_runtime_error_and_sends_nothing(driver: str) -> None:
    async with serving(echo, driver) as running:
        peer = running.peer()
        with pytest.raises(RuntimeError) as info:
            await running.server.send_packet_to("é", peer.address)
        assert isinstance(info.value.__cause__, UnicodeError)
        assert await peer.ask(b"fine") == b"fine"


async def test_oversized_packet_is_told(driver: str) -> None:
    async with serving(echo, driver) as running:
        with pytest.raises(OSError) as info:
            await running.server.send_packet_to("x" * 65508, running.peer().address)
        assert info.value.errno == errno.EMSGSIZE


async def test_sending_after_closing_is_an_oserror() -> None:
    server = await new_server()
    await server.aclose()
    with pytest.raises(OSError) as info:
        await server.send_packet_to("x", ("127.0.0.1", 1))
    assert info.value.errno == errno.EBADF


async def test_ancillary_data_is_not_supported_over_udp(driver: str) -> None:
    async with serving(echo, driver) as running:
        with pytest.raises(UnsupportedOperation):
            await running.server.send_packet_with_ancillary_to("x", [], running.peer().address)
        await running.stop()
        with pytest.raises(UnsupportedOperation):
            await running.server.serve_with_ancillary(echo, 1024)


@pytest.mark.parametrize("bad", [0, -1, 1.5, None, "1"])
async def test_bad_ancillary_bufsize_is_refused(bad: Any) -> None:
    async with await new_server() as server:
        with pytest.raises(ValueError, match="ancillary_bufsize"):
            await server.serve_with_ancillary(echo, bad)


# --- generators


async def test_cancellation_that_a_handler_takes_back_starts_no_other_handler(driver: str) -> None:
    begun = 0

    async def handler(client: Client) -> Requests:
        nonlocal begun
        begun += 1
        await client.server.send_packet_to((yield None), client.address)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.uncancel()

    async with serving(handler, driver) as running:
        for i in range(1, 4):
            assert await running.peer().ask(b"a") == b"a"
            await asyncio.sleep(0.01)
            assert begun == i


async def test_cancellation_that_is_taken_back_before_it_is_delivered_is_raised_in_a_handler_that_waits(
    driver: str,
) -> None:
    tasks: list[asyncio.Task[object]] = []

    async def handler(client: Client) -> Requests:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await client.server.send_packet_to((yield None), client.address)
            request = yield None
        except asyncio.CancelledError:
            request = "cancelled"
        await client.server.send_packet_to(request, client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        assert await peer.ask(b"a") == b"a"
        tasks[0].cancel()
        tasks[0].uncancel()
        assert await peer.receive() == b"cancelled"  # as by any future that a task waits for


async def test_once_its_task_is_cancelled_a_sender_gets_no_other_handler(driver: str) -> None:
    begun: list[str] = []
    go_on = asyncio.Event()

    async def handler(client: Client) -> Requests:
        begun.append((yield None))
        await client.server.backend().ignore_cancellation(go_on.wait())

    async with serving(handler, driver) as running:
        running.peer().send(b"a", b"b", b"c")
        await until(lambda: begun)
        await asyncio.sleep(0.01)
        running.task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await running.stop()
        assert running.server.dropped_datagrams == 2
    assert begun == ["a"]


async def test_a_sender_whose_handler_was_cancelled_from_within_is_heard_again(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        if request == "give up":
            raise asyncio.CancelledError
        await client.server.send_packet_to(request, client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        for i in range(3):
            peer.send(b"give up")
            await asyncio.sleep(0.01)
            assert await peer.ask(b"%d" % i) == b"%d" % i


async def test_one_generator_handles_as_many_datagrams_as_it_wants(driver: str) -> None:
    started = 0

    async def handler(client: Client) -> Requests:
        nonlocal started
        started += 1
        for _ in range(3):
            request = yield None
            await client.server.send_packet_to(f"{started} {request}", client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        answers = [await peer.ask(request) for request in (b"a", b"b", b"c", b"d")]
        peer.send(b"e", b"f", b"g")
        answers += await peer.answers(3)
    assert answers == [b"1 a", b"1 b", b"1 c", b"2 d", b"2 e", b"2 f", b"3 g"]


async def test_empty_datagrams_are_requests_and_answers_like_any_other(driver: str) -> None:
    async with serving(echo, driver) as running:
        peer = running.peer()
        peer.send(b"", b"a", b"")
        assert await peer.answers(3) == [b"", b"a", b""]
    async with serving(echo_once, driver) as running:
        peer = running.peer()
        peer.send(b"", b"a", b"")
        assert await peer.answers(3) == [b"", b"a", b""]


async def test_largest_datagram_is_handled_whole(driver: str) -> None:
    async with serving(echo, driver) as running:
        request = b"x" * 65507
        assert await running.peer().ask(request) == request


async def test_generator_that_returns_before_its_first_yield_discards_the_datagram_unparsed(driver: str) -> None:
    seen: list[str] = []

    async def handler(client: Client) -> Requests:
        seen.append("begun")
        if len(seen) < 3:
            return
        await client.server.send_packet_to((yield None), client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        peer.send("not é ascii".encode(), b"discarded", b"handled")
        assert await peer.receive() == b"handled"
    assert seen == ["begun"] * 3


async def test_senders_have_generators_of_their_own_that_run_at_the_same_time(driver: str) -> None:
    everybody = asyncio.Event()
    waiting = 0

    async def handler(client: Client) -> Requests:
        nonlocal waiting
        request = yield None
        waiting += 1
        if waiting == 10:
            everybody.set()
        await everybody.wait()
        await client.server.send_packet_to(request, client.address)

    async with serving(handler, driver) as running:
        peers = [running.peer() for _ in range(10)]
        for i, peer in enumerate(peers):
            peer.send(b"%d" % i)
        assert [await peer.receive() for peer in peers] == [b"%d" % i for i in range(10)]


async def test_datagrams_of_one_sender_wait_for_its_busy_handler_in_order(driver: str) -> None:
    running_handlers: dict[Any, int] = {}

    async def handler(client: Client) -> Requests:
        running_handlers[client.address] = running_handlers.get(client.address, 0) + 1
        assert running_handlers[client.address] == 1
        request = yield None
        await asyncio.sleep(0)
        if int(request) % 3 == 0:
            request = yield None
            await asyncio.sleep(0.0001)
        await client.server.send_packet_to(request, client.address)
        running_handlers[client.address] -= 1

    async with serving(handler, driver) as running:
        peers = [running.peer() for _ in range(4)]
        for i in range(60):
            for peer in peers:
                peer.send(b"%d" % i)
        expected = [b"%d" % i for i in range(60)]
        replies = [await peer.answers(30) for peer in peers]
    for answers in replies:
        assert answers == sorted(answers, key=int)
        assert set(answers) < set(expected)


async def test_exception_of_a_handler_is_logged_and_the_next_datagram_has_a_new_one(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(client: Client) -> Requests:
        request = yield None
        if request == "suspend and fail":
            await asyncio.sleep(0)
        if "fail" in request:
            raise LookupError(request)
        await client.server.send_packet_to(request, client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        peer.send(b"fail", b"a", b"suspend and fail", b"b", b"suspend and fail", b"fail", b"c")
        assert await peer.answers(3) == [b"a", b"b", b"c"]
        address = peer.address
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4
    for record in caplog.records:
        assert record.name == "easynetwork.lowlevel.api_async.servers.datagram"
        assert repr(address) in record.getMessage()
        assert record.exc_info is not None
        assert isinstance(record.exc_info[1], LookupError)


async def test_exception_before_the_first_yield_is_logged_and_costs_one_datagram(
    driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    failures = 0

    async def handler(client: Client) -> Requests:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise LookupError
        await client.server.send_packet_to((yield None), client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        peer.send(b"a", b"b", b"c")
        assert await peer.receive() == b"c"
    assert len(caplog.records) == 2


async def test_parse_error_is_raised_at_the_yield_and_the_generator_goes_on(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        while True:
            try:
                answer = yield None
            except DatagramProtocolParseError:
                answer = "invalid"
            await client.server.send_packet_to(answer, client.address)

    async with serving(handler, driver) as running:
        peer = running.peer()
        peer.send("é".encode(), b"a", "é".encode(), "é".encode(), b"b")
        assert await peer.answers(5) == [b"invalid", b"a", b"invalid", b"invalid", b"b"]


async def test_invalid_datagram_that_is_not_caught_is_one_line(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(echo, driver) as running:
        peer = running.peer()
        peer.send("é".encode(), b"a")
        assert await peer.receive() == b"a"
        address = str(peer.address)
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"{address}: invalid packet: ")
    assert record.exc_info is None


async def test_protocol_crash_is_raised_as_runtime_error_at_the_yield(driver: str) -> None:
    class Crashing(DatagramProtocol[str, str]):
        def build_packet_from_datagram(self, datagram: bytes) -> str:
            if datagram == b"crash":
                raise LookupError
            return super().build_packet_from_datagram(datagram)

    async def handler(client: Client) -> Requests:
        while True:
            try:
                answer = yield None
            except RuntimeError as exc:
                answer = type(exc.__cause__).__name__
            await client.server.send_packet_to(answer, client.address)

    async with serving(handler, driver, protocol=Crashing(StringLineSerializer())) as running:
        peer = running.peer()
        peer.send(b"a", b"crash", b"b")
        assert await peer.answers(3) == [b"a", b"LookupError", b"b"]


async def test_datagrams_are_parsed_only_when_they_are_asked_for(driver: str) -> None:
    parsed: list[bytes] = []

    class Noting(DatagramProtocol[str, str]):
        def build_packet_from_datagram(self, datagram: bytes) -> str:
            parsed.append(datagram)
            return super().build_packet_from_datagram(datagram)

    async def handler(client: Client) -> Requests:
        yield None
        await go_on.wait()
        await client.server.send_packet_to((yield None), client.address)

    go_on = asyncio.Event()
    async with serving(handler, driver, protocol=Noting(StringLineSerializer())) as running:
        peer = running.peer()
        peer.send(b"a", b"b", b"c")
        await asyncio.sleep(0.01)
        assert parsed == [b"a"]
        go_on.set()
        assert await peer.receive() == b"b"


async def test_handler_that_is_no_generator_is_logged(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    def handler(client: Client) -> Any:
        return None

    async with serving(handler, driver) as running:
        running.peer().send(b"a", b"b")
        async with asyncio.timeout(PATIENCE):
            while len(caplog.records) < 2:
                await asyncio.sleep(0.001)


async def test_group_with_a_fatal_exception_ends_serve(driver: str) -> None:
    async def handler(client: Client) -> Requests:
        await client.server.send_packet_to((yield None), client.address)
        raise BaseExceptionGroup("", [SystemExit()])

    with pytest.raises(BaseExceptionGroup) as info:
        async with serving(handler, driver) as running, asyncio.timeout(PATIENCE):
            running.peer().send(b"a")
            await running.task.wait()
    assert info.value.subgroup(SystemExit) is not None


async def test_handlers_live_in_the_given_group(driver: str) -> None:
    """Those that are busy go on when serve() has ended, and nothing else keeps the group from ending."""
    finished: list[str] = []

    async def handler(client: Client) -> Requests:
        request = yield None
        await client.server.send_packet_to(request, client.address)
        if request == "busy":
            await go_on.wait()
            finished.append(request)

    go_on = asyncio.Event()
    async with asyncio.timeout(PATIENCE), AsyncIOBackend().create_task_group() as tasks:
        async with serving(handler, driver, task_group=tasks) as running:
            assert await running.peer().ask(b"quick") == b"quick"
            assert await running.peer().ask(b"busy") == b"busy"
            await running.stop()
            assert finished == []
            go_on.set()
    assert finished == ["busy"]


# --- clients


def test_client_is_equal_to_others_of_the_same_address_and_server() -> None:
    class Server:
        def backend(self) -> str:
            return "backend"

    server: Any = Server()
    client: Client = DatagramClientContext(("127.0.0.1", 1), server)
    assert client == DatagramClientContext(("127.0.0.1", 1), server)
    assert hash(client) == hash(DatagramClientContext(("127.0.0.1", 1), server))
    assert client != DatagramClientContext(("127.0.0.1", 2), server)
    other: Any = Server()
    assert client != DatagramClientContext(("127.0.0.1", 1), other)
    assert client.backend() == "backend"  # type: ignore[comparison-overlap]  # a stand-in
    assert weakref.ref(client)() is client
    with pytest.raises(dataclasses.FrozenInstanceError):
        client.address = ("127.0.0.1", 2)  # type: ignore[misc]  # on purpose


async def test_client_is_the_same_object_while_something_refers_to_it(driver: str) -> None:
    kept: list[Client] = []
    identities: list[bool] = []

    async def handler(client: Client) -> Requests:
        identities.append(any(client is other for other in kept))
        request = yield None
        if request == "keep":
            kept.append(client)
        await client.server.send_packet_to(request, client.address)

    async with serving(handler, driver) as running:
        peer, other = running.peer(), running.peer()
        for request in (b"a", b"keep", b"b", b"c"):
            await peer.ask(request)
        await other.ask(b"d")
        assert [client.address for client in kept] == [peer.address]
        watch = weakref.ref(kept[0])
        kept.clear()
        await asyncio.sleep(0)
        assert watch() is None
        await peer.ask(b"e")
    assert identities == [False, False, True, True, False, False]
