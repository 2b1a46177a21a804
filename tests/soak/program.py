"""What the programs of a soak share: each runs in a process of its own, and obeys words on its standard input."""

from __future__ import annotations

__all__ = ["HOST", "Obey", "best_loop", "connect", "main", "make_line", "reset"]

import argparse
import asyncio
import contextlib
import functools
import importlib.util
import os
import random
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

from benchmarks.servers.harness import loop_factory

HOST = "127.0.0.1"

LONGEST_LINE = 40_000
"""Bytes. A connection with an answer like that to send is not done in one turn of the event loop."""

Obey = Callable[[dict[str, Callable[[], Awaitable[object]]]], Awaitable[None]]


def best_loop() -> str:
    """Return the event loop that is used where there is a choice."""
    return "asyncio" if importlib.util.find_spec("uvloop") is None else "uvloop"


def main(run: Callable[[argparse.Namespace, Obey], Awaitable[None]]) -> None:
    """Run a program that connects to a server.

    Parameters:
        run: gets the options, and a function that it awaits once it is ready, with the words to obey: what is returned
            for each is printed. That function returns at ``stop``, and at the end of the input.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a measurement")
    parser.add_argument("--authority", help="file with the certificate to trust; no TLS without it")
    options = parser.parse_args()

    async def start() -> None:
        await run(options, _obey)

    with asyncio.Runner(loop_factory=loop_factory(best_loop())) as runner:
        runner.run(start())


async def _obey(commands: dict[str, Callable[[], Awaitable[object]]]) -> None:
    words: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for word in os.read(sys.stdin.fileno(), 4096).decode().split() or ["stop"]:
            words.put_nowait(word)

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)
    _say("ready")
    while (word := await words.get()) != "stop":
        _say(await commands[word]())


def _say(answer: object) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


@functools.cache
def _context(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


@contextlib.asynccontextmanager
async def connect(
    options: argparse.Namespace, *, tls: bool = True
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect to the server, and aborts the connection in the end. Little is read in advance.

    Parameters:
        options: where, and whether by TLS.
        tls: shake hands if the server does.
    """
    context = _context(options.authority) if options.authority and tls else None
    reader, writer = await asyncio.open_connection(HOST, options.port, ssl=context, limit=1 << 12)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by an RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:  # not lost already
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def make_line(rng: random.Random) -> bytes:
    """Return a packet: mostly a short one, sometimes a long one."""
    size = int(LONGEST_LINE ** rng.random())
    return bytes(rng.choices(b"abcdefgh ijklmnop", k=20)) * (size // 20) + b"x" * (size % 20) + b"\n"
