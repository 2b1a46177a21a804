"""One buffer receives for all connections of a loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import tracemalloc
from collections.abc import AsyncIterator

from tests.support.blocking import PATIENCE
from tests.support.sockets import stream_pair

from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport


@contextlib.asynccontextmanager
async def connection() -> AsyncIterator[tuple[AsyncStreamTransport, socket.socket]]:
    ours, peer = stream_pair(socket.AF_INET)
    with peer:
        async with await ensure_backend(None).wrap_stream_socket(ours) as transport:
            yield transport, peer


async def test_what_one_connection_has_received_is_not_overwritten_by_the_next() -> None:
    async with connection() as (first, first_peer), connection() as (second, second_peer):
        first_peer.sendall(b"a" * 1000)
        received = await first.recv(1000)
        second_peer.sendall(b"b" * 1000)
        assert await second.recv(1000) == b"b" * 1000
        assert received == b"a" * 1000


def test_loops_in_several_threads_do_not_share_it() -> None:
    received: dict[bytes, bytes] = {}
    start = threading.Barrier(4)

    async def receive(letter: bytes) -> None:
        async with connection() as (transport, peer):
            start.wait(PATIENCE)
            chunks = []
            for _ in range(200):
                peer.sendall(letter * 5000)
                size = 0
                while size < 5000:
                    chunks.append(await transport.recv(5000))
                    size += len(chunks[-1])
            received[letter] = b"".join(chunks)

    threads = [
        threading.Thread(target=asyncio.run, args=[receive(letter)], daemon=True) for letter in (b"a", b"b", b"c", b"d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert received == {letter: letter * 1_000_000 for letter in (b"a", b"b", b"c", b"d")}


async def test_a_small_read_takes_little_memory() -> None:
    async with connection() as (transport, peer):
        peer.sendall(b"first")
        assert await transport.recv(10) == b"first"  # what is made once is there from now on
        tracemalloc.start()
        try:
            peer.sendall(b"second")
            assert await transport.recv(10) == b"second"
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 64 * 1024
