"""What is special about encrypted streams."""

from __future__ import annotations

__all__: list[str] = []

import ssl

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.outcomes import Failure, attempt
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage
from tests.conformance.kit.tls_peers import TLSPeer

from easynetwork.lowlevel.socket import TLSAttribute


def tls_peer(stage: StreamStage) -> TLSPeer:
    peer = stage.peer.peer
    assert isinstance(peer, TLSPeer)
    return peer


@EXCHANGE_CHECKS(needs=Feature.TLS)
async def a_stream_that_is_cut_is_an_error_and_stays_one(stage: StreamStage) -> None:
    await stage.peer.send(b"whole")
    assert await stage.transport.recv(100) == b"whole"
    tls_peer(stage).cut()
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            await stage.transport.recv(100)
        with pytest.raises(ssl.SSLError):
            await stage.transport.recv_into(bytearray(100))
    assert not stage.transport.is_closing()


@EXCHANGE_CHECKS(needs=Feature.TLS)
async def sending_goes_on_after_the_closing_alert_of_the_peer(stage: StreamStage) -> None:
    stage.peer.peer.send_eof()
    assert await stage.transport.recv(100) == b""
    answer = stage.flood

    async def send() -> None:
        await stage.transport.send_all(answer)
        await stage.transport.send_all_from_iterable([b"the", b" end"])
        assert await stage.transport.recv(100) == b""
        await stage.transport.aclose()

    async with stage.backend.create_task_group() as group:
        group.start_soon(send)
        assert await stage.peer.receive_to_end() == answer + b"the end"


@STREAM_CHECKS(needs=Feature.TLS)
async def what_is_received_while_closing_is_the_end(stage: StreamStage) -> None:
    async with stage.backend.create_task_group() as group:
        closing = await group.start(stage.transport.aclose)
        await stage.settle()
        await stage.peer.send(b"too late")
        await stage.settle()
        assert await stage.transport.recv(100) == b""
        assert await stage.transport.recv_into(bytearray(100)) == 0
        with pytest.raises(ConnectionAbortedError):
            await stage.transport.send_all(b"x")
        assert not closing.done()
        assert await stage.peer.receive_to_end() == b""
        stage.peer.peer.send_eof()


@STREAM_CHECKS(needs=Feature.TLS)
async def sending_after_closing_is_an_abort(stage: StreamStage) -> None:
    await stage.part()
    for _ in range(2):
        with pytest.raises(ConnectionAbortedError):
            await stage.transport.send_all(b"x")
        with pytest.raises(ConnectionAbortedError):
            await stage.transport.send_all_from_iterable([b"x"])


@EXCHANGE_CHECKS(needs=Feature.TLS)
async def what_is_no_tls_ends_both_directions(stage: StreamStage) -> None:
    await stage.transport.send_all(b"x")
    assert await stage.peer.receive(1) == b"x"
    tls_peer(stage).send_raw(b"this is no TLS at all" * 100)
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            await stage.transport.recv(100)
        outcome = await attempt(stage.transport.send_all, b"x")
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error, OSError)


@EXCHANGE_CHECKS(needs=Feature.TLS)
async def the_attributes_are_those_of_the_encryption(stage: StreamStage) -> None:
    assert stage.transport.extra(TLSAttribute.standard_compatible) is True
    assert isinstance(stage.transport.extra(TLSAttribute.sslcontext), ssl.SSLContext)
    assert stage.transport.extra(TLSAttribute.tls_version) == "TLSv1.3"
    assert len(stage.transport.extra(TLSAttribute.cipher)) == 3
    assert stage.transport.extra(TLSAttribute.server_name) == "server.invalid"
    assert stage.transport.extra(TLSAttribute.alpn_protocol, None) is None
    assert stage.transport.extra(TLSAttribute.compression, None) is None
