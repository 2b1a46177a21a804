"""TLS clients that send key updates at full speed."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest
from tests.support.background import until
from tests.support.blocking import InThread
from tests.support.certificates import Certificates
from tests.support.openssl import OpenSSL, needs_openssl, s_client
from tests.support.stream_servers import Noting, Serving, serving
from tests.support.tls_records import RecordMaker
from tests.support.tls_servers import TLSClient, connect

EVERY_BACKEND = True


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    records = [record for record in caplog.records if record.levelno > logging.INFO]
    assert all(record.levelno == logging.WARNING and record.exc_info is None for record in records)
    return [record.getMessage().partition(": ")[2] for record in records]


def type_for_ever(openssl: OpenSSL, command: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        while True:
            openssl.type(command * 10_000)


@needs_openssl
@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["update", "update-requested"])
async def test_openssl_that_floods_is_refused_and_others_are_served(
    certificates: Certificates, caplog: pytest.LogCaptureFixture, command: bytes
) -> None:
    handler = Noting()
    async with serving(handler, ssl=certificates.server_context()) as it:
        honest = await connect(it)
        assert await honest.ask(b"before") == b"before"
        [address] = it.server.get_addresses()
        with s_client(certificates, "TLSv1.3", tuple(address)[:2], "-quiet", "-no_ign_eof") as openssl:
            flood = InThread(type_for_ever, openssl, command)
            await until(lambda: "disconnected" in handler.diary)
            await until(lambda: not flood.is_running())
        assert await honest.ask(b"after") == b"after"
    assert handler.diary[:4] == ["connected", "connected", "SSLError", "disconnected"]
    assert warnings_in(caplog) == ["invalid TLS: the peer sent too many TLS messages without data"]


async def connect_with_records(it: Serving, certificates: Certificates, folder: Path) -> tuple[TLSClient, RecordMaker]:
    context = certificates.client_context("TLSv1.3")
    context.keylog_filename = str(folder / "keys")
    client = await connect(it, context)
    return client, RecordMaker(client.below.engine, folder / "keys")


async def test_requests_between_key_updates_are_answered(certificates: Certificates, tmp_path: Path) -> None:
    async with serving(Noting(), ssl=certificates.server_context()) as it:
        client, maker = await connect_with_records(it, certificates, tmp_path)
        for number in range(50):
            request = b"%d" % number
            await client.below.send(b"".join(maker.key_update(asks=True) for _ in range(10)) + maker.data(request))
            await client.below.send(maker.key_update() + maker.data(b"\n"))
            assert await client.line() == request
