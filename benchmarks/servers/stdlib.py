"""Run a server of the standard library: on TCP, with asyncio's own TLS, or on a Unix socket."""

from __future__ import annotations

import argparse
from asyncio import AbstractServer
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.servers.harness import BACKLOG, HOST, Ready, server_context

__all__ = ["serve_stdlib"]


async def serve_stdlib(
    listen: Callable[..., Awaitable[AbstractServer]],
    listen_unix: Callable[..., Awaitable[AbstractServer]],
    each: Callable[..., object],
    options: argparse.Namespace,
    ready: Ready,
) -> None:
    """Serve with `loop.create_server` and `create_unix_server`, or `asyncio.start_server` and `start_unix_server`."""
    if options.transport == "unix":
        server: Any = await listen_unix(each, options.path, backlog=BACKLOG)
        ready(options.path)
    else:
        server = await listen(each, HOST, 0, backlog=BACKLOG, ssl=server_context(options))
        ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()
