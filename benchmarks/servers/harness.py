"""What every server script shares: its options, its loop, and the few words it exchanges with the benchmark.

A script prints its port as one line, then obeys lines on its standard input: `gc` collects garbage and answers
`done`. It stops at `stop`, at the end of its input (so that it never outlives the benchmark) and at SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

__all__ = ["HOST", "main"]

HOST = "127.0.0.1"

ServerFactory = Callable[[argparse.Namespace], AbstractAsyncContextManager[int]]


def main(server: ServerFactory, **choices: list[str]) -> None:
    """Run *server*, an async context manager that serves while it is entered and gives its port.

    Each keyword names an option `--keyword` of the script and the values it may take, the default first.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    for name, values in choices.items():
        parser.add_argument(f"--{name}", choices=values, default=values[0])
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=_loop_factory(options.loop)) as runner:
        runner.run(_serve(server, options))


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


async def _serve(server: ServerFactory, options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)

    def obey() -> None:
        words = os.read(sys.stdin.fileno(), 4096).split()
        if b"gc" in words:
            gc.collect()
            print("done", flush=True)
        if not words or b"stop" in words:
            loop.remove_reader(sys.stdin.fileno())
            stopped.set()

    async with server(options) as port:
        loop.add_reader(sys.stdin.fileno(), obey)
        print(port, flush=True)
        await stopped.wait()
