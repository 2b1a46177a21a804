"""A datagram from port 0 says that its sender expects no answer: :rfc:`768`. Anyone can forge one."""

from __future__ import annotations

import errno
import logging
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.background import until
from tests.support.datagram_servers import Client, Handler, Recorder, Requests, Server, Serving, has_ipv6, run
from tests.support.faults import GROUPS
from tests.support.lines import text_protocol
from tests.support.lowlevel_datagram_servers import Client as LowLevelClient
from tests.support.lowlevel_datagram_servers import Requests as LowLevelRequests
from tests.support.lowlevel_datagram_servers import WrappedListener
from tests.support.lowlevel_datagram_servers import serving as lowlevel_serving
from tests.support.network_servers import problems

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.servers.async_udp import AsyncUDPNetworkServer

EVERY_BACKEND = True

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")


class PulledServer(AsyncUDPNetworkServer[str, str]):
    """Its listeners could be written by a user: each datagram comes in a task."""

    __slots__ = ()

    async def _open_listeners(self) -> Any:
        return [WrappedListener(listener) for listener in await super()._open_listeners()]


MakeServer = Callable[[Any], Server]


@pytest.fixture(params=[AsyncUDPNetworkServer, PulledServer])
def make_server(request: pytest.FixtureRequest, backend: AsyncBackend) -> MakeServer:
    def make(handler: Any, host: str = "127.0.0.1") -> Server:
        server: Server = request.param(host, 0, text_protocol(), handler, backend)
        return server

    return make


def send_from_port_0(server: tuple[Any, ...], data: bytes) -> None:
    """Send *data* to the address of a server on the loopback interface."""
    host, port, *_ = server
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        pytest.skip("needs the right to forge an address")
    with raw:
        if family == socket.AF_INET6:
            raw.setsockopt(socket.IPPROTO_IPV6, 7, 6)  # IPV6_CHECKSUM: the offset of what the kernel has to compute
        raw.sendto(struct.pack(">4H", 0, port, 8 + len(data), 0) + data, (host, 0))


def forge(it: Serving, data: bytes) -> None:
    send_from_port_0(it.server.get_sockets()[0].getsockname(), data)


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_handler_gets_it_and_its_answer_costs_one_line(
    make_server: Any, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler = Recorder()
    async with run(make_server(handler, host)) as it:
        forge(it, b"forged")
        await until(lambda: problems(caplog.records))
        peer = it.peer()
        assert await peer.ask(b"honest") == b"honest"
    assert handler.diary == ["forged", "honest"]
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
    assert record.getMessage() == f"('{host}', 0): it cannot be answered, because its port is 0"


async def test_handler_may_catch_the_error(make_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[OSError] = []

    class Catching(Handler):
        async def handle(self, client: Client, /) -> Requests:
            try:
                await client.send_packet((yield None))
            except OSError as exc:
                errors.append(exc)

    async with run(make_server(Catching())) as it:
        forge(it, b"forged")
        await until(lambda: errors)
        assert await it.peer().ask(b"honest") == b"honest"
    [error] = errors
    assert error.errno in (errno.EINVAL, errno.EADDRNOTAVAIL)
    assert "port 0" in str(error)
    assert problems(caplog.records) == []


@pytest.mark.parametrize("new_group", GROUPS)
async def test_answer_in_a_task_group_costs_one_line(
    make_server: MakeServer, new_group: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Grouped(Handler):
        async def handle(self, client: Client, /) -> Requests:
            async with new_group():
                await client.send_packet((yield None))

    async with run(make_server(Grouped())) as it:
        forge(it, b"forged")
        await until(lambda: problems(caplog.records))
        assert await it.peer().ask(b"honest") == b"honest"
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("it cannot be answered, because its port is 0")


async def test_answer_to_another_client_at_port_0_is_an_error_of_the_handler(
    make_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Forwarding(Handler):
        first: Client | None = None

        async def handle(self, client: Client, /) -> Requests:
            request = yield None
            if self.first is None:
                self.first = client
            else:
                await self.first.send_packet(request)

    handler = Forwarding()
    async with run(make_server(handler)) as it:
        forge(it, b"forged")
        await until(lambda: handler.first)
        it.peer().send(b"honest")
        await until(lambda: problems(caplog.records))
    [record] = problems(caplog.records)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


@pytest.mark.parametrize("driver", ["inline", "pull"])
async def test_answer_of_a_lowlevel_server_costs_one_line(driver: str, caplog: pytest.LogCaptureFixture) -> None:
    async def handle(client: LowLevelClient) -> LowLevelRequests:
        await client.server.send_packet_to((yield None), client.address)

    async with lowlevel_serving(handle, driver) as it:
        send_from_port_0(it.address, b"forged")
        await until(lambda: problems(caplog.records))
    [record] = problems(caplog.records)
    assert record.levelno == logging.WARNING
    assert record.exc_info is None
