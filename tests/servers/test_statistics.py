"""The numbers of servers: what is counted all the time, what is measured if asked for, and who shows it."""

from __future__ import annotations

import logging
import time
from typing import Any

import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.servers.kinds import Kind
from tests.support.background import settle, sleep, spawn, until
from tests.support.certificates import Certificates
from tests.support.datagram_servers import Handler as DatagramHandler
from tests.support.datagram_servers import serving as serving_datagrams
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE
from tests.support.stream_servers import Client, Handler, Noting, Requests, Serving, serving
from tests.support.tls_servers import connect

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.servers import ServerLimits, ServerStatistics, StandaloneTCPNetworkServer
from easynetwork.servers.opentelemetry import instrument
from easynetwork.servers.prometheus import ServerCollector
from easynetwork.servers.threads_helper import NetworkServerThread

EVERY_BACKEND = True


class Ending(Noting):
    """Does what a line says."""

    async def handle(self, client: Client, /) -> Requests:
        request = yield None
        if request == "close":
            await client.aclose()
        elif request == "fail":
            raise LookupError
        elif request == "large":
            await client.send_packet("x" * 20_000_000)
        else:
            await client.send_packet(request)


async def ended(it: Serving, **reasons: int) -> None:
    await until(lambda: sum(it.server.statistics().connections_ended.values()) == sum(reasons.values()))
    statistics = it.server.statistics()
    assert statistics.connections_ended == reasons
    assert statistics.connections_accepted == statistics.connections_open + sum(reasons.values())


async def test_connections_are_counted_by_the_reason_of_their_end() -> None:
    async with serving(Ending(), limits=ServerLimits(packet_timeout=0.1)) as it:
        assert it.server.statistics() == ServerStatistics()
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        assert it.server.statistics().connections_open == 1
        peer.close()
        await ended(it, peer=1)
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        peer.reset()
        await ended(it, peer=1, lost=1)
        await (await it.connect()).send(b"close\n")
        await ended(it, peer=1, lost=1, handler=1)
        await (await it.connect()).send(b"fail\n")
        await ended(it, peer=1, lost=1, handler=1, fault=1)
        await (await it.connect()).send(b"half a")
        await ended(it, peer=1, lost=1, handler=1, fault=1, packet_timeout=1)
        assert it.server.statistics().over_limits == {"packet_timeout": 1}
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
    await ended(it, peer=1, lost=1, handler=1, fault=1, packet_timeout=1, stopped=1)


async def test_connections_that_end_with_the_task_of_the_server_are_stopped() -> None:
    async with serving(Ending()) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        it.task.cancel()
        await it.task.wait()
        await ended(it, stopped=1)


async def test_drained_connections_are_counted() -> None:
    async with serving(Ending()) as it:
        peer = await it.connect()
        assert await peer.ask(b"a") == b"a"
        draining = spawn(it.server.drain(PATIENCE))
        assert await peer.rest() == b""
        peer.close()
        await draining.result()
    await ended(it, drained=1)


async def test_connections_that_wait_for_a_reader_are_counted() -> None:
    async with serving(Ending()) as it:
        peer = await it.connect(receive_buffer=4096)
        await peer.send(b"large\n")
        await until(lambda: it.server.statistics().connections_blocked == 1)


async def test_refused_and_failed_connections_are_counted(certificates: Certificates) -> None:
    limits = ServerLimits(connections=2, handshake_timeout=0.1)
    async with serving(Ending(), ssl=certificates.server_context(), limits=limits) as it:
        late, garbage, left = await it.connect(), await it.connect(), None
        assert await (await it.connect()).gone()
        await garbage.send(b"this is not TLS")
        assert await garbage.gone()
        assert await late.gone()
        await settle()
        left = await it.connect()
        await settle()
        left.close()
        await until(lambda: sum(it.server.statistics().handshakes_failed.values()) == 3)
        assert it.server.statistics().handshakes_failed == {"late": 1, "refused": 1, "left": 1}
        assert it.server.statistics().over_limits == {"connections": 1, "handshake_timeout": 1}
        assert it.server.statistics().connections_accepted == 0


@pytest.mark.parametrize("has_tls", [False, True], ids=["plain", "TLS"])
async def test_traffic_is_measured_if_asked_for(has_tls: bool, certificates: Certificates) -> None:
    options: dict[str, Any] = {"ssl": certificates.server_context()} if has_tls else {}
    async with serving(Noting(), measure=["traffic"], **options) as it:
        peers = [await (connect(it) if has_tls else it.connect()) for _ in range(2)]
        for peer in peers:
            await peer.send(b"one\ntwo\nth")
            assert await peer.ask(b"ree") == b"one"
            assert await peer.lines(2) == [b"two", b"three"]
        peers[0].close()
        await until(lambda: it.server.statistics().connections_open == 1)
        await peers[1].send(b"\xff\n")
        await until(lambda: it.server.statistics().invalid_packets == 1)
        statistics = it.server.statistics()
        assert (statistics.packets_received, statistics.packets_sent) == (6, 6)
        assert (statistics.bytes_received, statistics.bytes_sent) == (30, 28)


async def test_traffic_is_counted_over_changes_of_the_protocol() -> None:
    class Changing(Handler):
        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            await client.send_packet(request)
            client.set_protocol(line_protocol())
            await client.send_packet(await client.recv_packet())

    async with serving(Changing(), measure={"traffic"}) as it:
        peer = await it.connect()
        await peer.send(b"one\ntwo\n")
        assert await peer.lines(2) == [b"one", b"two"]
        statistics = it.server.statistics()
        assert (statistics.packets_received, statistics.packets_sent) == (2, 2)
        assert (statistics.bytes_received, statistics.bytes_sent) == (8, 8)


async def test_nothing_else_is_measured_by_default() -> None:
    async with serving(Noting()) as it:
        assert await (await it.connect()).ask(b"a") == b"a"
        statistics = it.server.statistics()
        assert statistics.packets_received is statistics.bytes_sent is statistics.longest_stall is None


async def test_stalls_are_noticed() -> None:
    class Blocking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            time.sleep(0.2)

    async with serving(Blocking(), measure=["stalls"]) as it:
        await sleep(0.03)
        assert await (await it.connect()).ask(b"a") == b"a"
        await until(lambda: (it.server.statistics().longest_stall or 0) > 0.15)


async def test_datagrams_are_counted() -> None:
    class Twice(DatagramHandler):
        async def handle(self, client: Any, /) -> Any:
            await client.send_packet((yield None))
            yield None

    async with serving_datagrams(ensure_backend(None), Twice(), measure=["traffic"]) as it:
        peer = it.peer()
        assert await peer.ask(b"abc") == b"abc"
        statistics = it.server.statistics()
        assert (statistics.packets_received, statistics.packets_sent) == (1, 1)
        assert (statistics.bytes_received, statistics.bytes_sent) == (3, 3)
        assert (statistics.conversations, statistics.dropped_datagrams) == (1, 0)
        peer.send(b"\xff")
        await until(lambda: it.server.statistics().invalid_packets == 1)
        assert it.server.statistics().conversations == 0


@pytest.mark.parametrize("measure", ["traffic", ["speed"], [None]])
async def test_what_is_measured_is_checked(measure: Any, kind: Kind) -> None:
    with pytest.raises(ValueError, match="measure"):
        kind.new_server(measure=measure)


# -------------------------------------------------------------------------------------------------------------- records


async def test_records_have_attributes_for_structured_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Ending(), measure=["traffic"]) as it:
        peer = await it.connect()
        name = str(peer.sock.getsockname())
        assert await peer.ask(b"abc") == b"abc"
        await peer.send(b"fail\n")
        assert await peer.gone()
        await until(lambda: "disconnected" in caplog.text)
    found = {record.msg: vars(record) for record in caplog.records if hasattr(record, "peer")}
    assert {record["peer"] for record in found.values()} == {name}
    end = found["%s disconnected"]
    assert (end["reason"], end["bytes_received"], end["bytes_sent"]) == ("fault", 9, 4)
    assert 0 < end["seconds"] < PATIENCE
    assert found["%s: unhandled exception"]["levelname"] == "ERROR"


async def test_one_line_per_connection_tells_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Ending(), measure=["traffic"], log_client_connection="end") as it:
        peer = await it.connect()
        name = str(peer.sock.getsockname())
        assert await peer.ask(b"abc") == b"abc"
        peer.close()
        await until(lambda: name in caplog.text)
    [record] = [record for record in caplog.records if hasattr(record, "peer")]
    assert record.getMessage().startswith(f"{name} disconnected after 0.")
    assert record.getMessage().endswith(" seconds (peer), 4 bytes received, 4 sent")


async def test_log_client_connection_is_checked() -> None:
    with pytest.raises(ValueError, match="log_client_connection"):
        async with serving(Ending(), log_client_connection="begin"):
            pass


# ------------------------------------------------------------------------------------------------------------- adapters


class Constant:
    """A server that is not there."""

    def statistics(self) -> ServerStatistics:
        return ServerStatistics(
            connections_accepted=5,
            connections_open=2,
            connections_ended={"peer": 2, "fault": 1},
            bytes_sent=7,
            longest_stall=0.5,
        )


def test_prometheus_gets_the_numbers() -> None:
    registry = prometheus_client.CollectorRegistry()
    registry.register(ServerCollector(web=Constant()))
    text = prometheus_client.generate_latest(registry).decode()
    lines = set(text.splitlines())
    assert {
        "# TYPE easynetwork_connections_accepted_total counter",
        'easynetwork_connections_accepted_total{server="web"} 5.0',
        "# TYPE easynetwork_connections_open gauge",
        'easynetwork_connections_open{server="web"} 2.0',
        'easynetwork_connections_ended_total{reason="fault",server="web"} 1.0',
        'easynetwork_connections_ended_total{reason="peer",server="web"} 2.0',
        'easynetwork_sent_bytes_total{server="web"} 7.0',
        'easynetwork_longest_stall_seconds{server="web"} 0.5',
    } <= lines
    assert "received_bytes_total{" not in text  # not measured


def test_opentelemetry_gets_the_numbers() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    instrument({"web": Constant()}, provider.get_meter("test"))
    data = reader.get_metrics_data()
    assert data is not None
    found: dict[str, Any] = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        points: Any = metric.data.data_points
        values = {tuple(sorted(point.attributes.items())): point.value for point in points}
        found[metric.name] = (metric.unit, values)
    name = ("easynetwork.server.name", "web")
    assert found["easynetwork.server.connections.accepted"] == ("{connection}", {(name,): 5})
    assert found["easynetwork.server.connections.ended"] == (
        "{connection}",
        {(name, ("reason", "peer")): 2, (name, ("reason", "fault")): 1},
    )
    assert found["easynetwork.server.sent"] == ("By", {(name,): 7})
    assert found["easynetwork.server.longest_stall"] == ("s", {(name,): 0.5})
    assert "easynetwork.server.received" not in found
    provider.shutdown()


def test_standalone_server_tells_its_numbers_to_other_threads() -> None:
    server = StandaloneTCPNetworkServer("127.0.0.1", 0, line_protocol(), Ending(), measure=["traffic"])
    assert server.statistics() == ServerStatistics()
    thread = NetworkServerThread(server)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while server.statistics().packets_received is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        thread.join()
    assert server.statistics().packets_received == 0
