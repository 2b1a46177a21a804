"""Limits of stream servers: what is over one is closed, counted, and logged once per interval."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from typing import Any

import pytest
from tests.servers.kinds import Kind
from tests.support.background import new_event, settle, sleep, until
from tests.support.certificates import Certificates
from tests.support.network_servers import problems
from tests.support.peers import Peer
from tests.support.stream_servers import Client, Handler, Noting, Requests, Serving, run, serving
from tests.support.tls_servers import connect

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.servers import ServerLimits
from easynetwork.servers._connection_limits import network_of

EVERY_BACKEND = True

SHORT = 0.15
"""Seconds of a limit that a test waits for."""
LONG = 0.8
"""Seconds of a limit that must not be reached by a client that does something `OFTEN`."""
OFTEN = 0.2


async def is_refused(it: Serving) -> bool:
    try:
        peer = await it.connect()
        return await peer.rest() == b""
    except ConnectionError:
        return True


def handshakes(it: Serving) -> int:
    """Return how many connections of the server are in a handshake."""
    admission: Any = it.server._servers[0]._admission  # type: ignore[index]
    return len(admission._in_handshake)


def over_limits(caplog: pytest.LogCaptureFixture) -> dict[str, int]:
    """Return how often each limit was exceeded, as the log says. It has no other problems."""
    counts: Counter[str] = Counter()
    for record in problems(caplog.records):
        start, _, numbers = record.getMessage().partition(": ")
        assert start == "Over the limits"
        for limit, _, count in (number.partition(": ") for number in numbers.split(", ")):
            counts[limit] += int(count)
    return counts


# --------------------------------------------------------------------------------------------------------- connecting


async def test_connection_over_the_limit_is_closed_at_once_and_costs_no_task(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    async with serving(handler, limits=ServerLimits(connections=2)) as it:
        first, second = await it.connect(), await it.connect()
        assert (await first.ask(b"a"), await second.ask(b"b")) == (b"a", b"b")
        for _ in range(5):
            assert await is_refused(it)
        assert handler.diary == ["connected"] * 2
        first.close()
        await until(lambda: "disconnected" in handler.diary)
        await settle()
        third = await it.connect()
        assert (await third.ask(b"c"), await second.ask(b"d")) == (b"c", b"d")
    assert over_limits(caplog) == {"connections": 5}


async def test_limit_counts_again_when_the_server_serves_again() -> None:
    limits = ServerLimits(connections=1)
    for _ in range(2):
        async with serving(Handler(), limits=limits) as it:
            assert await (await it.connect()).ask(b"a") == b"a"
            assert await is_refused(it)


async def test_connections_of_one_address_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Handler(), limits=ServerLimits(connections_per_address=1)) as it:
        [address] = it.server.get_addresses()
        peers = []
        for number in (1, 2):
            sock = socket.socket()
            sock.bind((f"127.0.0.{number}", 0))
            peers.append(Peer(sock))
            await peers[-1].connect(tuple(address))
            assert await peers[-1].ask(b"a") == b"a"
        assert await is_refused(it)  # it comes from 127.0.0.1
        for peer in peers:
            peer.close()
    assert over_limits(caplog) == {"connections_per_address": 1}


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert network_of(("2001:db8::1", 1, 0, 0)) == network_of(("2001:db8::2:1", 2, 0, 0))
    assert network_of(("2001:db8::1", 1, 0, 0)) != network_of(("2001:db8:0:1::1", 1, 0, 0))
    assert network_of(("::ffff:192.0.2.1", 1, 0, 0)) == network_of(("192.0.2.1", 1))
    assert network_of(("::ffff:192.0.2.1", 1, 0, 0)) != network_of(("::ffff:192.0.2.2", 1, 0, 0))
    # All link-local addresses are in one network.
    assert network_of(("fe80::1", 1, 0, 2)) != network_of(("fe80::2", 1, 0, 2))
    assert network_of(("fe80::1", 1, 0, 2)) != network_of(("fe80::1", 1, 0, 3))


async def test_handshakes_are_limited(certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    limits = ServerLimits(handshakes=2)
    async with serving(Handler(), ssl=certificates.server_context(), limits=limits) as it:
        complete = []
        for _ in range(3):
            complete.append(await connect(it))
            await until(lambda: handshakes(it) == 0)  # the client has completed its handshake before the server
        silent = [await it.connect() for _ in range(2)]
        await until(lambda: handshakes(it) == 2)
        assert await is_refused(it)
        assert [await client.ask(b"a") for client in complete] == [b"a"] * 3
        silent[0].close()
        await until(lambda: handshakes(it) == 1)
        assert await (await connect(it)).ask(b"b") == b"b"
    assert over_limits(caplog) == {"handshakes": 1}


async def test_handshake_has_a_limit(certificates: Certificates, caplog: pytest.LogCaptureFixture) -> None:
    limits = ServerLimits(handshake_timeout=SHORT)
    async with serving(Handler(), ssl=certificates.server_context(), ssl_handshake_timeout=60, limits=limits) as it:
        assert await (await it.connect()).gone()
        await settle()
    assert over_limits(caplog) == {"handshake_timeout": 1}


async def test_handshake_of_start_tls_has_the_same_limit(certificates: Certificates) -> None:
    class Upgrading(Handler):
        async def handle(self, client: Client, /) -> Requests:
            yield None
            try:
                await client.start_tls(certificates.server_context(), ssl_handshake_timeout=60)
            except OSError as exc:
                self.diary.append(str(exc))
                raise

    handler = Upgrading()
    async with serving(handler, limits=ServerLimits(handshake_timeout=SHORT)) as it:
        peer = await it.connect()
        await peer.send(b"starttls\n")
        assert await peer.gone()
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary[1] == "The TLS handshake took too long"


# ---------------------------------------------------------------------------------------------------------- receiving


async def test_first_packet_has_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    handler = Noting()
    async with serving(handler, limits=ServerLimits(first_packet_timeout=SHORT)) as it:
        talker = await it.connect()
        assert await talker.ask(b"a") == b"a"
        silent, dripping = await it.connect(), await it.connect()
        await dripping.send(b"x")
        assert await silent.rest() == await dripping.rest() == b""
        await sleep(SHORT)
        assert await talker.ask(b"b") == b"b"
        await until(lambda: handler.diary.count("disconnected") == 2)
        assert handler.diary.count("GeneratorExit") == 2
    assert over_limits(caplog) == {"first_packet_timeout": 2}


async def test_first_packet_timeout_begins_after_the_handshake(certificates: Certificates) -> None:
    limits = ServerLimits(first_packet_timeout=LONG)
    async with serving(Handler(), ssl=certificates.server_context(), limits=limits) as it:
        client = await connect(it)
        await sleep(OFTEN)
        assert await client.ask(b"a") == b"a"
        assert await (await connect(it)).gone()


async def test_bytes_that_drip_do_not_extend_the_deadline_of_a_packet(caplog: pytest.LogCaptureFixture) -> None:
    handler = Noting()
    async with serving(handler, limits=ServerLimits(packet_timeout=2 * SHORT)) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await sleep(3 * SHORT)  # idle, which is allowed
        assert await peer.ask(b"b") == b"b"
        await peer.drip(b"x", SHORT / 10)
        await until(lambda: handler.diary[1:] == ["GeneratorExit", "disconnected"])
    assert over_limits(caplog) == {"packet_timeout": 1}


async def test_packets_without_a_pause_between_them_are_not_one_packet() -> None:
    async with serving(Noting(), limits=ServerLimits(packet_timeout=LONG)) as it:
        peer = await it.connect()
        await peer.send(b"a")
        for _ in range(6):  # each piece ends a packet, and begins the next
            await sleep(OFTEN)
            await peer.send(b"a\na")
            assert await peer.line() == b"aa"


async def test_idle_connection_is_closed_in_an_orderly_way(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    handler = Noting()
    limits = ServerLimits(idle_timeout=LONG)
    async with serving(handler, ssl=certificates.server_context(), limits=limits) as it:
        client = await connect(it)
        for _ in range(6):
            assert await client.ask(b"a") == b"a"
            await sleep(OFTEN)
        assert await client.rest() == b""  # with a closing alert, or this raises
        await until(lambda: handler.diary[1:] == ["GeneratorExit", "disconnected"])
    assert not problems(caplog.records)  # idle clients are usual
    assert "Over the limits: idle_timeout: 1" in caplog.messages


async def test_packet_in_the_making_is_not_idle() -> None:
    async with serving(Noting(), limits=ServerLimits(idle_timeout=SHORT)) as it:
        peer = await it.connect()
        await peer.send(b"a")
        await sleep(3 * SHORT)
        assert await peer.ask(b"b") == b"ab"


class Impatient(Noting):
    """Has a time limit of its own, and survives it. Answers invalid packets too."""

    async def handle(self, client: Client, /) -> Requests:
        while True:
            try:
                await client.send_packet((yield SHORT / 3))
            except TimeoutError:
                pass
            except StreamProtocolParseError:
                await client.send_packet("invalid")


@pytest.mark.parametrize("limit", ["first_packet_timeout", "packet_timeout", "idle_timeout"])
async def test_timeouts_of_the_handler_and_invalid_packets_do_not_help_a_client(
    limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Impatient()
    timeout: dict[str, Any] = {limit: 2 * SHORT}
    async with serving(handler, limits=ServerLimits(**timeout)) as it:
        peer = await it.connect()
        await peer.drip(b"x" if limit == "packet_timeout" else b"\xff\n", SHORT / 2)
        await until(lambda: "disconnected" in handler.diary)
    assert over_limits(caplog) == ({} if limit == "idle_timeout" else {limit: 1})


async def test_connection_is_ended_once_although_its_handler_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    class Lingering(Noting):
        async def handle(self, client: Client, /) -> Requests:
            try:
                yield None
            finally:
                await client.backend().ignore_cancellation(sleep(4 * SHORT))

    handler = Lingering()
    limits = ServerLimits(first_packet_timeout=SHORT, close_timeout=SHORT)
    async with serving(handler, limits=limits) as it:
        assert await (await it.connect()).gone()
        await until(lambda: "disconnected" in handler.diary)
    assert over_limits(caplog) == {"first_packet_timeout": 1}


class Busy(Noting):
    def __init__(self) -> None:
        super().__init__()
        self.go_on = new_event()

    async def handle(self, client: Client, /) -> Requests:
        while True:
            request = yield None
            await self.go_on.wait()
            await client.send_packet(request)


async def test_clock_of_a_client_stands_still_while_its_handler_works() -> None:
    handler = Busy()
    limits = ServerLimits(first_packet_timeout=SHORT, packet_timeout=SHORT, idle_timeout=SHORT)
    async with serving(handler, limits=limits) as it:
        peer = await it.connect()
        await peer.send(b"a\nb\nc")
        await sleep(3 * SHORT)
        handler.go_on.set()
        assert await peer.lines(2) == [b"a", b"b"]
        assert await peer.ask(b"") == b"c"


async def test_clocks_run_for_recv_packet_too(caplog: pytest.LogCaptureFixture) -> None:
    class Receiving(Noting):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet(await client.recv_packet())
            try:
                await client.recv_packet()
            except OSError as exc:
                self.diary.append(type(exc).__name__)
            yield None

    handler = Receiving()
    async with serving(handler, limits=ServerLimits(packet_timeout=SHORT)) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        await peer.send(b"b")
        assert await peer.gone()
        await until(lambda: handler.diary[1:] == ["ConnectionAbortedError", "disconnected"])
    assert over_limits(caplog) == {"packet_timeout": 1}


# ------------------------------------------------------------------------------------------------- sending and closing

LARGE = "x" * 20_000_000


class Large(Noting):
    async def handle(self, client: Client, /) -> Requests:
        yield None
        try:
            await client.send_packet(LARGE)
        except BaseException as exc:
            self.diary.append(type(exc).__name__)
            raise


async def test_client_that_reads_nothing_is_reset(caplog: pytest.LogCaptureFixture) -> None:
    handler = Large()
    async with serving(handler, limits=ServerLimits(send_timeout=SHORT)) as it:
        peer = await it.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        await until(lambda: "disconnected" in handler.diary)
        assert handler.diary[1:] == ["ConnectionAbortedError", "disconnected"]
        with pytest.raises(ConnectionResetError):
            await peer.rest()
    assert over_limits(caplog) == {"send_timeout": 1}


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_client_that_reads_slowly_is_not_over_a_limit(has_tls: bool, certificates: Certificates) -> None:
    options = {"ssl": certificates.server_context()} if has_tls else {}
    handler = Large()
    async with serving(handler, limits=ServerLimits(send_timeout=LONG), **options) as it:
        peer = await (connect(it, receive_buffer=4096) if has_tls else it.connect(receive_buffer=4096))
        await peer.send(b"a\n")
        for _ in range(6):
            await sleep(OFTEN)
            for _ in range(20):
                await peer._receive()
        assert len(handler.diary) == 1


async def test_close_has_a_deadline(caplog: pytest.LogCaptureFixture) -> None:
    class Closing(Large):
        async def handle(self, client: Client, /) -> Requests:
            is_full = False
            while not is_full:
                with ensure_backend(None).move_on_after(0.05) as scope:
                    await client.send_packet("x" * 50_000)
                is_full = scope.cancelled_caught()
            yield None
            await client.aclose()
            self.diary.append("closed")

    handler = Closing()
    async with serving(handler, limits=ServerLimits(close_timeout=SHORT)) as it:
        peer = await it.connect(receive_buffer=4096)
        await peer.send(b"a\n")
        await until(lambda: "disconnected" in handler.diary)
        assert handler.diary[1:] == ["closed", "disconnected"]
        with pytest.raises(ConnectionResetError):
            await peer.rest()
    assert over_limits(caplog) == {"close_timeout": 1}


async def test_close_that_waits_for_the_client_has_a_deadline(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    class Leaving(Handler):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            await client.aclose()
            self.diary.append("closed")

    handler = Leaving()
    limits = ServerLimits(close_timeout=SHORT)
    async with serving(handler, ssl=certificates.server_context(), limits=limits) as it:
        client = await connect(it)
        assert await client.ask(b"a") == b"a"
        await until(lambda: "closed" in handler.diary)  # without the alert of the client
    assert over_limits(caplog) == {"close_timeout": 1}


async def test_bytes_of_one_client_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    handler = Large()
    async with serving(handler, limits=ServerLimits(buffered_bytes_per_peer=1_000_000)) as it:
        peer, other = await it.connect(receive_buffer=4096), await it.connect()
        await peer.send(b"a\n")
        await until(lambda: "disconnected" in handler.diary)
        await sleep(SHORT)
        assert handler.diary.count("disconnected") == 1
        other.close()
    assert over_limits(caplog) == {"buffered_bytes_per_peer": 1}


async def test_client_with_most_bytes_ends_first(caplog: pytest.LogCaptureFixture) -> None:
    class Sized(Handler):
        async def handle(self, client: Client, /) -> Requests:
            size = int((yield None))
            try:
                await client.send_packet("x" * size)
            except ConnectionError:
                self.diary.append(str(size))
                raise

    handler = Sized()
    async with serving(handler, limits=ServerLimits(buffered_bytes=60_000_000)) as it:
        for size in (b"20000000", b"40000000", b"30000000"):
            await (await it.connect(receive_buffer=4096)).send(size + b"\n")
        await until(lambda: "disconnected" in handler.diary)
        await sleep(3 * SHORT)
        assert handler.diary[3:] == ["40000000", "disconnected"]
    assert over_limits(caplog) == {"buffered_bytes": 1}


# ---------------------------------------------------------------------------------------------------------------- log


async def test_records_about_clients_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limits = ServerLimits(log_records=3, log_interval=60)
    async with serving(Handler(), limits=limits) as it:
        for _ in range(5):
            peer = await it.connect()
            assert await peer.ask(b"a") == b"a"
            peer.close()
    texts = [record.getMessage() for record in caplog.records]
    assert sum("connect" in text for text in texts) == 3
    [left_out] = [text for text in texts if text.startswith("Over the limits: ")]
    assert left_out == "Over the limits: log_records: 7"
    record = next(record for record in caplog.records if "connect" in record.getMessage())
    assert record.filename == "_stream_server.py"


async def test_limits_are_logged_once_per_interval(caplog: pytest.LogCaptureFixture) -> None:
    limits = ServerLimits(connections=1, first_packet_timeout=SHORT / 2, log_interval=2 * SHORT)
    async with serving(Handler(), limits=limits) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        for _ in range(60):
            assert await is_refused(it)
            await sleep(SHORT / 10)
    assert over_limits(caplog) == {"connections": 60}
    assert 3 <= len(problems(caplog.records)) <= 8


# ------------------------------------------------------------------------------------------------------ all the servers


async def test_every_server_has_limits(kind: Kind) -> None:
    with pytest.raises(TypeError, match="ServerLimits"):
        kind.new_server(limits=5)
    kind.new_server(limits=ServerLimits.internet())


@pytest.mark.parametrize("kind", ["tcp", "unix-stream"], indirect=True)
async def test_client_that_reads_nothing_is_cut(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    handler = Large()
    server: Any = kind.server_class(*kind.address, kind.protocol, handler, limits=ServerLimits(send_timeout=SHORT))
    async with run(server) as it:
        peer = await it.connect()
        await peer.send(b"a\n")
        await until(lambda: "disconnected" in handler.diary)
    assert over_limits(caplog) == {"send_timeout": 1}


@pytest.mark.parametrize("kind", ["tcp", "unix-stream"], indirect=True)
async def test_connections_are_limited(kind: Kind) -> None:
    server: Any = kind.new_server(limits=ServerLimits(connections=1, connections_per_address=1))
    async with run(server) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        assert await is_refused(it)
        peer.close()


@pytest.mark.parametrize("name", [name for name in ServerLimits.__slots__ if name != "log_interval"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "1", True])
def test_limits_are_checked(name: str, value: Any) -> None:
    if value is True and name.endswith("timeout"):
        pytest.skip("a boolean is a number")
    with pytest.raises((TypeError, ValueError), match=name):
        ServerLimits(**{name: value})


def test_preset_takes_changes() -> None:
    limits = ServerLimits.internet(idle_timeout=None, connections=5)
    assert (limits.idle_timeout, limits.connections, limits.handshakes) == (None, 5, 1000)
    with pytest.raises(TypeError):
        ServerLimits.internet(speed=5)
