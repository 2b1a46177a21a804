"""Clients whose machine or network has gone, as the system finds out: ``ETIMEDOUT``, from real sockets."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.background import until
from tests.support.certificates import Certificates
from tests.support.faulty_sockets import give_up_soon
from tests.support.stream_servers import Client, Handler, Requests, serving
from tests.support.tls_servers import connect

from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def options(request: pytest.FixtureRequest, certificates: Certificates) -> dict[str, Any]:
    return {"ssl": certificates.server_context()} if request.param else {}


class Waiting(Handler):
    """Sends more than the client takes, and waits for requests as documented."""

    async def handle(self, client: Client, /) -> Requests:
        request = yield None
        give_up_soon(client.extra(SocketAttribute.socket))
        await client.send_packet(request)
        await client.send_packet("x" * 50_000)
        for _ in range(10):
            try:
                yield 60
            except TimeoutError:
                self.diary.append("TimeoutError")
            except BaseException as exc:
                self.diary.append(type(exc).__name__)
                raise


class Sending(Handler):
    """Sends without an end."""

    async def handle(self, client: Client, /) -> Requests:
        request = yield None
        give_up_soon(client.extra(SocketAttribute.socket))
        await client.send_packet(request)
        try:
            while True:
                await client.send_packet("x" * 50_000)
        except OSError as exc:
            self.diary.append("aborted" if isinstance(exc, ConnectionError) else repr(exc))


@pytest.mark.parametrize(("handler_class", "end"), [(Waiting, "GeneratorExit"), (Sending, "aborted")])
async def test_client_that_is_lost_has_left(
    options: dict[str, Any], handler_class: type[Handler], end: str, caplog: pytest.LogCaptureFixture
) -> None:
    handler = handler_class()
    async with serving(handler, **options) as it:
        peer = await (connect(it, receive_buffer=4096) if options else it.connect(receive_buffer=4096))
        assert await peer.ask(b"a") == b"a"
        await until(lambda: "disconnected" in handler.diary)
    assert handler.diary == ["connected", end, "disconnected"]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
