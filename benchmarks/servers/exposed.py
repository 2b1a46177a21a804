"""A server that hostile peers can reach, over TCP and over TLS, with limits or without.

It prints both ports. Two more commands: `log` prints the number of lines that the server has logged, `limits` its
limits as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from benchmarks.servers.full import EchoLoop, EchoOnce
from benchmarks.servers.harness import BACKLOG, HOST, Ready, main, server_context
from benchmarks.servers.packets import line_protocol
from easynetwork.servers import AsyncTCPNetworkServer

__all__ = ["LIMITS", "LoggedLines", "limits", "limits_as_json"]

LIMITS = ["off", "internet"]


class LoggedLines(logging.Handler):
    """Count lines as they would appear in a log file, tracebacks included."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += self.format(record).count("\n") + 1


def limits_as_json(options: argparse.Namespace) -> str:
    """Return the fields of the limits, or none."""
    chosen = limits(options).get("limits")
    return json.dumps(asdict(chosen) if chosen is not None else {})


def limits(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword argument of the servers for `--limits` and `--deadline`, which is 0 for the preset's own."""
    if options.limits == "off":
        return {}
    from easynetwork.servers import ServerLimits

    names = ("handshake_timeout", "first_packet_timeout", "packet_timeout", "send_timeout", "close_timeout")
    return {"limits": ServerLimits.internet(**dict.fromkeys(names, options.deadline) if options.deadline else {})}


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    lines = LoggedLines()
    logging.getLogger().addHandler(lines)
    handler = {"once": EchoOnce, "loop": EchoLoop}[options.handler]()
    async with AsyncExitStack() as stack:
        servers = []
        for context in (None, server_context(options)):
            server = AsyncTCPNetworkServer(
                HOST, 0, line_protocol("stream"), handler, backlog=BACKLOG, ssl=context, **limits(options)
            )
            servers.append(await stack.enter_async_context(server))
        ports = " ".join(str(server.get_addresses()[0].port) for server in servers)
        ready(ports, log=lambda: lines.count, limits=lambda: limits_as_json(options))
        await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    main(serve, limits=LIMITS, deadline=0.0, handler=["loop", "once"])
