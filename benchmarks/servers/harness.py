"""The common part of the server scripts: options, event loop and commands.

A script prints its address as one line, then executes commands from its standard input and answers each with a line:
`gc` collects garbage, `user` reports the user CPU time of the script in seconds. It ends at `stop`, and at the end of
its input, so it never outlives the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import ssl
import sys
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

__all__ = ["BACKLOG", "HOST", "Ready", "loop_factory", "main", "server_context", "user_seconds"]

HOST = "127.0.0.1"
BACKLOG = 1024


class Ready(Protocol):
    """Call it when the server listens, with its address and its commands other than `gc` and `user`."""

    def __call__(self, address: object, **commands: Callable[[], object]) -> None: ...


Serve = Callable[[argparse.Namespace, Ready], Coroutine[Any, Any, object]]


def main(serve: Serve, **choices: list[str] | float) -> None:
    """Run *serve* until the benchmark sends `stop`. *serve* must serve until it is cancelled.

    Each keyword defines an option `--keyword` of the script: its allowed values with the default first, or the default
    of a number.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "trio"], default="asyncio")
    parser.add_argument("--transport", choices=["tcp", "tls", "unix", "udp"], default="tcp")
    parser.add_argument("--certificate")
    for name, values in choices.items():
        if isinstance(values, list):
            parser.add_argument(f"--{name}", choices=values, default=values[0])
        else:
            parser.add_argument(f"--{name}", type=float, default=values)
    options = parser.parse_args()
    options.backend = "trio" if options.loop == "trio" else "asyncio"
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        options.path = os.path.join(folder, "socket")  # for a Unix server
        if options.loop == "trio":
            import trio

            trio.run(_serve_on_trio, serve, options)
        else:
            with asyncio.Runner(loop_factory=loop_factory(options.loop)) as runner:
                runner.run(_serve_on_asyncio(serve, options))


def server_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    """Return the TLS context of the server, or None without TLS."""
    if options.transport != "tls":
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate)
    return context


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def user_seconds() -> float:
    """Return the user CPU time of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _obey(commands: dict[str, Callable[[], object]]) -> bool:
    """Execute the commands on the standard input. Return whether to continue."""
    words = os.read(sys.stdin.fileno(), 4096).decode().split()
    for word in words:
        if word == "stop":
            return False
        print({"gc": gc.collect, "user": user_seconds, **commands}[word](), flush=True)
    return bool(words)


async def _serve_on_asyncio(serve: Serve, options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()

    def ready(address: object, **commands: Callable[[], object]) -> None:
        loop.add_reader(sys.stdin.fileno(), lambda: _obey(commands) or serving.cancel())
        print(address, flush=True)

    serving = asyncio.create_task(serve(options, ready))
    await asyncio.wait([serving])
    if not serving.cancelled():
        serving.result()


async def _serve_on_trio(serve: Serve, options: argparse.Namespace) -> None:
    import trio

    async with trio.open_nursery() as nursery:

        async def obey(commands: dict[str, Callable[[], object]]) -> None:
            while True:
                await trio.lowlevel.wait_readable(sys.stdin)
                if not _obey(commands):
                    nursery.cancel_scope.cancel()

        def ready(address: object, **commands: Callable[[], object]) -> None:
            nursery.start_soon(obey, commands)
            print(address, flush=True)

        await serve(options, ready)
