"""The hand-written server on trio: a loop for each connection that splits lines and keeps bytes as bytes."""

from __future__ import annotations

import argparse

import trio

from benchmarks.servers.harness import BACKLOG, HOST, Ready, main


async def echo(stream: trio.SocketStream) -> None:
    """Write each answer separately."""
    partial_line = b""
    try:
        while data := await stream.receive_some():
            lines = (partial_line + data).split(b"\n")
            partial_line = lines.pop()
            for line in lines:
                await stream.send_all(line + b"\n")
    except trio.BrokenResourceError:
        pass


async def serve(options: argparse.Namespace, ready: Ready) -> None:
    [listener] = await trio.open_tcp_listeners(0, host=HOST, backlog=BACKLOG)
    ready(listener.socket.getsockname()[1])
    await trio.serve_listeners(echo, [listener])


if __name__ == "__main__":
    main(serve)
