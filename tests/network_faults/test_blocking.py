"""Blocking clients and a standalone server, with a network in between that does harm."""

from __future__ import annotations

import contextlib
import logging
import ssl
import time

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
from tests.support.blocking import PATIENCE, InThread
from tests.support.fault_proxy import TO_CLIENT, TO_SERVER, Fault, FaultProxy, Kind
from tests.support.lines import line_protocol

from easynetwork.clients import TCPNetworkClient
from easynetwork.lowlevel.api_async.backend._asyncio.stream import lingering as asyncio_lingering
from easynetwork.lowlevel.api_sync.transports import _owned_socket as blocking_lingering
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.threads_helper import NetworkServerThread


@pytest.fixture(autouse=True)
def _brief_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (asyncio_lingering, blocking_lingering):
        monkeypatch.setattr(module, "LINGER_TIMEOUT", 0.5)


def ask_all(address: tuple[str, int], answers: list[str], seconds: float, *, is_tls: bool) -> None:
    """Connect, ask all questions, and take the answers."""
    with TCPNetworkClient(
        address, line_protocol(), connect_timeout=seconds, **client_tls(seconds, is_tls=is_tls)
    ) as client:
        for question in QUESTIONS:
            client.send_packet(question, timeout=seconds)
        while len(answers) < len(QUESTIONS):
            answers.append(client.recv_packet(timeout=seconds))


def suffer(address: tuple[str, int], fault: Fault, *, is_tls: bool) -> None:
    answers: list[str] = []
    documented: tuple[type[BaseException], ...] = (ConnectionAbortedError, TimeoutError)
    if fault.kind == "corrupt":
        documented += (ssl.SSLError,)
    with FaultProxy(address, fault) as proxy:
        error: BaseException | None = None
        try:
            ask_all(proxy.address, answers, deadline(fault.kind), is_tls=is_tls)
        except documented as exc:
            error = exc
        assert proxy.struck.is_set()
    check_answers(answers, are_all=fault.kind in HARMLESS)
    assert (error is None) == (fault.kind in HARMLESS) or len(answers) == len(QUESTIONS), repr(error)


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("direction", [TO_SERVER, TO_CLIENT], ids=["to server", "to client"])
@pytest.mark.parametrize("kind", FAULTS)
def test_faults_of_the_network_end_one_connection_by_its_deadlines(
    kind: Kind, direction: int, is_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if kind == "corrupt" and not is_tls:
        pytest.skip("TCP alone cannot tell")
    handler = Answering(deadline(kind))
    server = StandaloneTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), handler, **server_tls(deadline(kind), is_tls=is_tls)
    )
    thread = NetworkServerThread(server)
    thread.start()
    try:
        [address] = [(address.host, address.port) for address in server.get_addresses()]
        suffering = [
            InThread(
                suffer, address, Fault(kind, direction, offset, in_record=is_tls and kind == "corrupt"), is_tls=is_tls
            )
            for offset in offsets(direction, is_tls=is_tls)
        ]
        for one in suffering:
            one.result()
        end = time.monotonic() + PATIENCE
        while handler.connected and time.monotonic() < end:
            time.sleep(0.001)
        assert handler.connected == 0
        for _ in range(5):  # on a busy machine, a short deadline of the server may be over first
            answers: list[str] = []
            with contextlib.suppress(OSError):
                ask_all(address, answers, PATIENCE, is_tls=is_tls)
                break
        check_answers(answers, are_all=True)
    finally:
        thread.join(PATIENCE)
        server.server_close()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
