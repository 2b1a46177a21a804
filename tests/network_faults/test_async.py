"""Asynchronous clients and servers, with a network in between that does harm."""

from __future__ import annotations

import contextlib
import logging
import ssl

import pytest
from tests.network_faults.exchange import (
    FAULTS,
    HARMLESS,
    QUESTIONS,
    Answering,
    check_answers,
    client_tls,
    deadline,
    offsets,
    server_tls,
)
from tests.support.background import results, spawn, until
from tests.support.fault_proxy import TO_CLIENT, TO_SERVER, Fault, FaultProxy, Kind
from tests.support.leftovers import nothing_left
from tests.support.lines import line_protocol
from tests.support.stream_servers import Serving, serving
from tests.support.tls_servers import connect as connect_tls

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.lowlevel.api_async.backend._asyncio.stream import lingering as asyncio_lingering
from easynetwork.lowlevel.api_async.backend._trio.stream import transport as trio_transport
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

EVERY_BACKEND = True


@pytest.fixture(autouse=True)
def _brief_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (asyncio_lingering, trio_transport):
        monkeypatch.setattr(module, "LINGER_TIMEOUT", 0.5)


async def ask_all(
    client: AsyncTCPNetworkClient[str, str],
    answers: list[str],
    documented: tuple[type[BaseException], ...],
    seconds: float,
) -> BaseException | None:
    """Ask all questions, and take the answers. Return the error that ended this, which is one of *documented*."""
    backend = client.backend()
    try:
        await client.wait_connected()
        for question in QUESTIONS:
            with backend.timeout(seconds):
                await client.send_packet(question)
        for _ in QUESTIONS:
            with backend.timeout(seconds):
                answers.append(await client.recv_packet())
    except documented as exc:
        return exc
    finally:
        await client.aclose()
    return None


async def until_answered(it: Serving, *, is_tls: bool) -> bytes:
    """Ask as another client. Try again, since on a busy machine a short deadline may be over first."""
    while True:
        with contextlib.suppress(OSError, EOFError):
            other = await connect_tls(it) if is_tls else await it.connect()
            with contextlib.closing(other):
                return await other.ask(b"another")


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT], ids=["to server", "to client"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_faults_of_the_network_end_one_connection_by_its_deadlines(
    kind: Kind, direction: int, is_tls: bool, backend: AsyncBackend, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "corrupt" and not is_tls:
        pytest.skip("TCP alone cannot tell")
    documented: tuple[type[BaseException], ...] = (ConnectionAbortedError, TimeoutError)
    if kind == "corrupt":
        documented += (ssl.SSLError,)

    async def suffer(offset: int, address: tuple[str, int]) -> None:
        fault = Fault(kind, direction, offset, in_record=is_tls and kind == "corrupt")
        with FaultProxy(address, fault) as proxy:
            client: AsyncTCPNetworkClient[str, str] = AsyncTCPNetworkClient(
                proxy.address, line_protocol(), backend, **client_tls(deadline(kind), is_tls=is_tls)
            )
            answers: list[str] = []
            error = await ask_all(client, answers, documented, deadline(kind))
            assert proxy.struck.is_set()
            check_answers(answers, are_all=kind in HARMLESS)
            assert (error is None) == (kind in HARMLESS) or len(answers) == len(QUESTIONS), repr(error)

    handler = Answering(deadline(kind))
    async with nothing_left(), serving(handler, **server_tls(deadline(kind), is_tls=is_tls)) as it:
        [address] = it.server.get_addresses()
        suffering = [
            spawn(suffer(offset, (address.host, address.port))) for offset in offsets(direction, is_tls=is_tls)
        ]
        await results(*suffering)
        await until(lambda: handler.connected == 0)
        assert await until_answered(it, is_tls=is_tls) == b"another"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
