"""What clients do that should not: each is a coroutine function that makes a connection and leaves it in some way."""

from __future__ import annotations

__all__ = ["MISCHIEF", "TLS_MISCHIEF", "Mischief"]

import argparse
import asyncio
import random
import ssl
from typing import Any, Protocol

from tests.soak.program import HOST, connect, make_line, reset


class Mischief(Protocol):
    __name__: str

    async def __call__(self, options: argparse.Namespace, rng: random.Random) -> Any: ...


async def _pause(rng: random.Random, longest: float = 5.0) -> None:
    await asyncio.sleep(longest * rng.random())


async def _leave(writer: asyncio.StreamWriter, rng: random.Random) -> None:
    if rng.random() < 0.5:
        reset(writer)
    else:
        writer.close()
        await writer.wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> None:
    """Read what may be longer than the reader likes to keep."""
    while not (await reader.read(1 << 12) or b"\n").endswith(b"\n"):
        pass


async def half_a_frame(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (reader, writer):
        line = make_line(rng)
        writer.write(line[: rng.randrange(len(line))])
        await _pause(rng)
        if rng.random() < 0.5:
            writer.write(b"\n")
            await _read_answer(reader)
        await _leave(writer, rng)


async def trickle(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (reader, writer):
        for byte in make_line(rng)[-50:]:
            writer.write(bytes([byte]))
            await _pause(rng, 0.2)
        await _read_answer(reader)
        await _leave(writer, rng)


async def reset_in_the_middle(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (_, writer):
        for _ in range(rng.randrange(1, 30)):
            writer.write(make_line(rng))
        await _pause(rng, 0.01)
        reset(writer)
    await _pause(rng)


async def flood(options: argparse.Namespace, rng: random.Random) -> None:
    lines = b"".join(make_line(rng) for _ in range(50))

    async with connect(options) as (reader, writer), asyncio.TaskGroup() as tasks:

        async def read() -> None:
            left = 10 * len(lines)
            while left and (data := await reader.read(1 << 16)):
                left -= len(data)

        tasks.create_task(read())
        for _ in range(10):
            writer.write(lines)
            await writer.drain()
    await _pause(rng)


async def flood_of_short_lines(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (reader, writer):
        for _ in range(5):
            writer.write(b"x\n" * 500)
            await reader.readexactly(1000)
        await _pause(rng)


async def never_read(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (_, writer):
        for _ in range(40):
            writer.write(make_line(rng) * 10)
            try:
                async with asyncio.timeout(2):
                    await writer.drain()
            except TimeoutError:
                break
        await _pause(rng)
        await _leave(writer, rng)


async def endless_line(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (reader, writer):
        for _ in range(10):
            writer.write(b"y" * 30_000)
            await writer.drain()
        writer.write(b"\n")
        await _read_answer(reader)
        await _pause(rng)
        await _leave(writer, rng)


async def garbage(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (reader, writer):
        for _ in range(3):
            writer.write(rng.randbytes(rng.randrange(2000)) + b"\n")
            await reader.read(1000)
            await _pause(rng, 3)
        await _leave(writer, rng)


async def come_and_go(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (_, writer):
        await _leave(writer, rng)
    await _pause(rng)


async def leave_with_the_answers_under_way(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options) as (reader, writer):
        writer.write(make_line(rng) * 20)
        await reader.read(10)
        if writer.can_write_eof():
            writer.write_eof()
        await _pause(rng)


def _hello() -> bytes:
    """Return the first message of a handshake."""
    outgoing = ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


async def slow_handshake(options: argparse.Namespace, rng: random.Random) -> None:
    """End by the time-out of the server, mostly."""
    async with connect(options, tls=False) as (reader, writer):
        hello = _hello()
        while hello:
            size = rng.randrange(1, 100)
            writer.write(hello[:size])
            hello = hello[size:]
            await _pause(rng, 2)
        while await reader.read(1 << 12):
            pass


async def broken_handshake(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options, tls=False) as (_, writer):
        hello = _hello()
        if rng.random() < 0.5:
            hello = hello[: rng.randrange(len(hello))]
        writer.write(hello)
        await _pause(rng, 2)
        await _leave(writer, rng)
    await _pause(rng)


async def plain_text(options: argparse.Namespace, rng: random.Random) -> None:
    async with connect(options, tls=False) as (reader, writer):
        writer.write(make_line(rng))
        await reader.read()
        await _pause(rng)


MISCHIEF: list[tuple[float, Mischief]] = [
    (4, half_a_frame),
    (2, trickle),
    (3, reset_in_the_middle),
    (1, flood),
    (1, flood_of_short_lines),
    (2, never_read),
    (1, endless_line),
    (2, garbage),
    (2, come_and_go),
    (2, leave_with_the_answers_under_way),
]
"""How often, and what."""

TLS_MISCHIEF: list[tuple[float, Mischief]] = [(4, slow_handshake), (2, broken_handshake), (2, plain_text)]
"""On top of that, of clients of a server with TLS."""
