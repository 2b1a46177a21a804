"""A TLS peer that asks for answers at full speed and reads none of them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.support.background import settle, spawn
from tests.support.certificates import Certificates
from tests.support.tls_connections import connected
from tests.support.tls_records import RecordMaker

from easynetwork.lowlevel.api_async.transports.tls import AsyncTLSStreamTransport

EVERY_BACKEND = True


async def receive_all(tls: AsyncTLSStreamTransport) -> int:
    received = 0
    while data := await tls.recv(1 << 16):
        received += len(data)
    return received


async def test_answers_do_not_pile_up_for_a_peer_that_reads_nothing(
    mode: str, certificates: Certificates, tmp_path: Path
) -> None:
    """Its data keep it from being a flood."""
    context = certificates.client_context("TLSv1.3")
    context.keylog_filename = str(tmp_path / "keys")
    async with connected(mode, client=context, server_side=True, small_buffers=True) as (tls, peer):
        maker = RecordMaker(peer.engine, tmp_path / "keys")
        sender = spawn(tls.send_all(b"x" * 1_000_000))  # more than the kernel takes
        receiver = spawn(receive_all(tls))
        number = 0
        while not receiver.done():
            number += 1
            assert number < 5000, "nothing refuses the peer"
            record = b"".join(maker.key_update(asks=True) for _ in range(20)) + maker.data(b"x" * 1000)
            try:
                await peer.send(record)
                await settle()
            except ConnectionError:
                break
        with pytest.raises(ssl.SSLError, match="the peer requests answers without reading them"):
            await receiver.result()
        sender.cancel()


async def test_answers_that_had_to_wait_are_sent(mode: str, certificates: Certificates, tmp_path: Path) -> None:
    context = certificates.client_context("TLSv1.3")
    context.keylog_filename = str(tmp_path / "keys")
    async with connected(mode, client=context, server_side=True, small_buffers=True) as (tls, peer):
        maker = RecordMaker(peer.engine, tmp_path / "keys")
        sender = spawn(tls.send_all(b"x" * 1_000_000))
        for _ in range(40):
            await peer.send(maker.key_update(asks=True) + maker.data(b"x"))
            assert await tls.recv(1) == b"x"
        received = 0
        while received < 1_000_000:
            received += len(await peer.receive_plaintext())
        await sender.result()
        await tls.send_all(b"the end")
        assert await peer.receive_plaintext() == b"the end"
