"""The common part of the client scripts: options, event loop and commands.

A script prints `ready`, then executes commands from its standard input, and answers each with `done`: `connect PORT`,
`ping COUNT`, `send COUNT`, `receive COUNT`, `gc`. It answers `user` with its user CPU time in seconds. It ends at
`stop`, and at the end of its input.

The wait for the next command blocks the event loop. This is safe, because the connection is silent between commands.
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
LINE = ("0123456789" * 10)[:99]  # with a newline 100 bytes, as the load expects


class Client(Protocol):
    """A connection to the load."""

    def ping(self, count: int) -> object:
        """Send a line and wait for the same line, *count* times."""

    def send(self, count: int) -> object:
        """Send *count* lines, then wait for one line that confirms their arrival."""

    def receive(self, count: int) -> object:
        """Receive *count* lines."""


class AsyncClient(Protocol):
    """An asynchronous connection to the load."""

    def ping(self, count: int) -> Awaitable[object]: ...
    def send(self, count: int) -> Awaitable[object]: ...
    def receive(self, count: int) -> Awaitable[object]: ...


def main(connect: Callable[[int], AbstractContextManager[Client]]) -> None:
    """Execute the commands with blocking calls. *connect* takes the port."""
    _options()
    with ExitStack() as stack:
        for word, number in _commands():
            if word == "connect":
                client = stack.enter_context(connect(number))
            else:
                getattr(client, word)(number)
            print("done", flush=True)


def main_async(connect: Callable[[int], AbstractAsyncContextManager[AsyncClient]]) -> None:
    """Execute the commands in an event loop. *connect* takes the port."""

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
    """Raise RuntimeError for a wrong *answer*. Call it once for each command, so that its cost does not matter."""
    if answer != expected:
        raise RuntimeError(f"wrong answer: {answer!r}, expected {expected!r}")


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
