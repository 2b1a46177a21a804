"""Servers whose machine or network has gone, as the system finds out: ``ETIMEDOUT``, from real sockets."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.support.blocking import PATIENCE, InThread
from tests.support.blocking_tls import shakes_hands
from tests.support.certificates import the_certificates
from tests.support.faulty_sockets import give_up_soon
from tests.support.lines import line_protocol
from tests.support.sockets import stream_pair

from easynetwork.clients import AsyncTCPNetworkClient, TCPNetworkClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

EVERY_BACKEND = True

BIG = "x" * (1 << 24)


@contextlib.contextmanager
def doomed(tls: bool) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """Give a socket whose peer does not receive, and what a client needs for it."""
    ours, peer = stream_pair(socket.AF_INET, small_buffers=True)
    give_up_soon(ours)
    with contextlib.ExitStack() as stack:
        if tls:
            handshake = shakes_hands(peer, the_certificates().server_context())
            stack.callback(lambda: handshake.result().close())
            yield ours, {"ssl": the_certificates().client_context(), "server_hostname": "localhost"}
        else:
            stack.enter_context(peer)
            yield ours, {}


def check(outcomes: list[BaseException | None]) -> None:
    """One call is told why; the other one, that or no more than the end."""
    assert all(isinstance(outcome, ConnectionAbortedError) for outcome in outcomes)
    causes = [outcome.__cause__ for outcome in outcomes if outcome is not None]
    assert errno.ETIMEDOUT in [getattr(cause, "errno", None) for cause in causes]


@pytest.mark.parametrize("tls", [False, True])
def test_blocking_client_is_aborted(tls: bool) -> None:
    with (
        doomed(tls) as (sock, options),
        TCPNetworkClient(sock, line_protocol(), **options) as client,
    ):
        receiver = InThread(client.recv_packet, timeout=PATIENCE)
        sender = InThread(client.send_packet, BIG, timeout=PATIENCE)
        check([receiver.error(), sender.error()])


@pytest.mark.parametrize("tls", [False, True])
async def test_asynchronous_client_is_aborted(tls: bool, backend: AsyncBackend) -> None:
    outcomes: list[BaseException | None] = []

    async def note(operation: Any) -> None:
        try:
            await operation()
        except OSError as exc:
            outcomes.append(exc)
        else:
            outcomes.append(None)

    with doomed(tls) as (sock, options):
        async with AsyncTCPNetworkClient(sock, line_protocol(), backend, **options) as client:
            with backend.timeout(PATIENCE):
                async with backend.create_task_group() as group:
                    group.start_soon(note, client.recv_packet)
                    group.start_soon(note, partial(client.send_packet, BIG))
            check(outcomes)
