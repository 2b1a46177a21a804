"""A full server, which answers each line by the same line. It tells what it has logged, and how many tasks it has.

Run by a soak in a process of its own: it obeys ``report`` beside what `benchmarks.servers.harness` says.
"""

from __future__ import annotations

__all__ = ["HANDSHAKE_TIMEOUT", "SHUTDOWN_TIMEOUT"]

import argparse
import asyncio
import collections
import contextlib
import ctypes
import gc
import json
import logging
import re
import sys
import warnings
from collections.abc import AsyncGenerator, Callable
from typing import Any

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main, server_context
from benchmarks.servers.packets import PROTOCOLS, line_protocol
from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

HANDSHAKE_TIMEOUT = 3.0
SHUTDOWN_TIMEOUT = 2.0


class Echo(AsyncStreamRequestHandler[str, str]):
    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[None, str]:
        try:
            request = yield
        except StreamProtocolParseError:
            request = "what?"
        await client.send_packet(request)


class Collector(logging.Handler):
    """Counts the texts of what it is given. Numbers become ``N``, so that the ports of the peers take no memory."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: collections.Counter[str] = collections.Counter()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.records[re.sub(r"\d+", "N", self.format(record))] += 1


def collect_everything() -> Collector:
    """Log all warnings too, and errors that no caller can handle. Return what collects the log records."""
    collector = Collector()
    logging.getLogger().addHandler(collector)
    logging.captureWarnings(True)
    warnings.simplefilter("always")

    def unraisable(error: Any) -> None:
        exception = (error.exc_type, error.exc_value, error.exc_traceback)
        logging.getLogger("unraisable").error("%s: %r", error.err_msg, error.object, exc_info=exception)

    sys.unraisablehook = unraisable
    return collector


def _count_tasks(loop: str) -> int:
    if loop == "trio":
        import trio

        return trio.lowlevel.current_statistics().tasks_living
    return len(asyncio.all_tasks())


def _tidy_up() -> None:
    """Give back memory that is only kept for later: it is not a leak."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # glibc


class _WhenUp:
    """An event that calls *announce* when it is set."""

    def __init__(self, announce: Callable[[], None]) -> None:
        self.set = announce


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    collector = collect_everything()
    context = server_context(options)
    server = AsyncTCPNetworkServer(
        HOST,
        0,
        line_protocol(options.protocol),
        Echo(),
        options.backend,
        ssl=context,
        ssl_handshake_timeout=HANDSHAKE_TIMEOUT if context else None,
        ssl_shutdown_timeout=SHUTDOWN_TIMEOUT if context else None,
        backlog=BACKLOG,
    )

    def report() -> str:
        _tidy_up()
        facts = {"tasks": _count_tasks(options.loop), "blocks": sys.getallocatedblocks(), "records": collector.records}
        return json.dumps(facts)

    async with server:
        await server.serve_forever(is_up_event=_WhenUp(lambda: ready(server.get_addresses()[0].port, report=report)))


if __name__ == "__main__":
    main(serve, protocol=PROTOCOLS)
