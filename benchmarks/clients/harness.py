"""What every client script shares: its options, its loop, and the words it obeys.

A script prints `ready`, then obeys lines on its standard input, and answers each with `done`: `connect PORT`,
`ping COUNT`, `send COUNT`, `receive COUNT`, `gc`. It answers `user` with the user CPU time it has taken, in seconds. It
ends at `stop`, and at the end of its input.

Between two commands nothing happens on the connection, so the event loop may well be blocked by waiting for the next.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, ExitStack
from typing import Any, Protocol

from benchmarks.servers.harness import loop_factory, user_seconds

__all__ = ["HOST", "LINE", "AsyncClient", "Client", "check", "main", "main_async"]

HOST = "127.0.0.1"
LINE = ("0123456789" * 10)[:99]  # and a newline: 100 bytes, as the load expects them


class Client(Protocol):
    """A connection to the load."""

    def ping(self, count: int) -> object:
        """Send a line and wait for the same line, so many times."""

    def send(self, count: int) -> object:
        """Send so many lines, then wait for one line that says that all have arrived."""

    def receive(self, count: int) -> object:
        """Receive so many lines."""


class AsyncClient(Protocol):
    """The same for the other kind."""

    def ping(self, count: int) -> Awaitable[object]: ...
    def send(self, count: int) -> Awaitable[object]: ...
    def receive(self, count: int) -> Awaitable[object]: ...


def main(connect: Callable[[int], AbstractContextManager[Client]]) -> None:
    """Obey with blocking calls. *connect* gets the port."""
    _options()
    with ExitStack() as stack:
        for word, number in _commands():
            if word == "connect":
                client = stack.enter_context(connect(number))
            else:
                getattr(client, word)(number)
            print("done", flush=True)


def main_async(connect: Callable[[int], AbstractAsyncContextManager[AsyncClient]]) -> None:
    """Obey in an event loop."""

    async def obey() -> None:
        async with AsyncExitStack() as stack:
            for word, number in _commands():
                if word == "connect":
                    client = await stack.enter_async_context(connect(number))
                else:
                    await getattr(client, word)(number)
                print("done", flush=True)

    with asyncio.Runner(loop_factory=loop_factory(_options().loop)) as runner:
        runner.run(obey())


def check(answer: object, expected: object) -> None:
    """Once for each command, so that it costs nothing."""
    if answer != expected:
        raise RuntimeError(f"{answer!r} is not {expected!r}")


def _options() -> Any:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop")
    parser.add_argument("--transport", choices=["tcp"])
    return parser.parse_args()


def _commands() -> Iterator[tuple[str, int]]:
    print("ready", flush=True)
    while line := sys.stdin.readline().split():
        if line[0] == "stop":
            return
        if line[0] == "gc":
            gc.collect()
            print("done", flush=True)
        elif line[0] == "user":
            print(user_seconds(), flush=True)
        else:
            yield line[0], int(line[1])
