"""Python may have been built without TLS."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = """
import asyncio
import socket
import sys

sys.modules["ssl"] = sys.modules["_ssl"] = None

import easynetwork.clients
import easynetwork.lowlevel.api_async.transports.tls
import easynetwork.lowlevel.socket
import easynetwork.servers
from easynetwork.clients import AsyncTCPNetworkClient, TCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.line import StringLineSerializer


async def main():
    protocol = StreamProtocol(StringLineSerializer())
    AsyncTCPNetworkClient(("localhost", 9), protocol)
    try:
        AsyncTCPNetworkClient(("localhost", 9), protocol, ssl=True)
    except RuntimeError:
        print("refused")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with TCPNetworkClient(listener.getsockname(), protocol) as client:
            client.send_packet("x")
        try:
            TCPNetworkClient(listener.getsockname(), protocol, ssl=True)
        except RuntimeError:
            print("refused")


asyncio.run(main())
"""


def test_everything_but_tls_works_without_it() -> None:
    program = [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM)]
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout == "refused\nrefused\n"
