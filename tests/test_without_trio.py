"""Trio is an extra: without it, everything else works."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio
import importlib
import pkgutil
import sys

sys.modules["trio"] = None

import easynetwork
from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamRequestHandler
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer

for module in pkgutil.walk_packages(easynetwork.__path__, "easynetwork."):
    if "._trio" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)


class Echo(AsyncStreamRequestHandler):
    async def handle(self, client):
        await client.send_packet((yield))


protocol = StreamProtocol(StringLineSerializer())


async def main():
    async with AsyncTCPNetworkServer("127.0.0.1", 0, protocol, Echo()) as server:
        is_up = asyncio.Event()
        serving = asyncio.create_task(server.serve_forever(is_up_event=is_up))
        await is_up.wait()
        async with AsyncTCPNetworkClient(tuple(server.get_addresses()[0]), protocol) as client:
            await client.send_packet("echo")
            print(await client.recv_packet())
        await server.shutdown()
        await serving


asyncio.run(main())
for use in (
    lambda: new_builtin_backend("trio"),
    lambda: AsyncTCPNetworkClient(("localhost", 9), protocol, "trio"),
    lambda: StandaloneTCPNetworkServer("localhost", 9, protocol, Echo(), "trio"),
):
    try:
        use()
    except ModuleNotFoundError as exc:
        [note] = exc.__notes__
        print("easynetwork-uvloop[trio]" in note or note)
"""


def test_everything_but_its_backend_works_without_trio() -> None:
    program = [sys.executable, "-W", "error", "-c", PROGRAM]
    lines = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == ["echo", "True", "True", "True"]
