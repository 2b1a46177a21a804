"""What every server script shares: its options, its loop, and the few words it exchanges with the benchmark.

A script prints its address as one line, then obeys words on its standard input and answers each with a line: `gc`
collects garbage, `user` tells the user CPU time the script has taken, in seconds. It stops at `stop`, and at the end of
its input, so that it never outlives the benchmark.
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
    """To be called once the server listens, with its address, and the commands that it obeys beside `gc` and `user`."""

    def __call__(self, address: object, **commands: Callable[[], object]) -> None: ...


Serve = Callable[[argparse.Namespace, Ready], Coroutine[Any, Any, object]]


def main(serve: Serve, **choices: list[str]) -> None:
    """Run *serve* until the benchmark says `stop`; it serves for ever, until it is cancelled.

    Each keyword names an option `--keyword` of the script and the values it may take, the default first.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "trio"], default="asyncio")
    parser.add_argument("--transport", choices=["tcp", "tls", "unix", "udp"], default="tcp")
    parser.add_argument("--certificate")
    for name, values in choices.items():
        parser.add_argument(f"--{name}", choices=values, default=values[0])
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
    """What the server encrypts with, None if it does not."""
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
    """Return the CPU time of this process outside of the kernel."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _obey(commands: dict[str, Callable[[], object]]) -> bool:
    """Carry out what stands on the standard input; whether to go on."""
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
