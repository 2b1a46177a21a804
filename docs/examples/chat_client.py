"""Send typed lines to a chat, and show what the others say. Leave with Ctrl-D or Ctrl-C."""

import argparse
import asyncio
import sys
from contextlib import suppress

from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer

PROTOCOL: StreamProtocol[str, str] = StreamProtocol(StringLineSerializer(encoding="utf-8"))


async def show(client: AsyncTCPNetworkClient[str, str]) -> None:
    async for line in client.iter_received_packets(timeout=None):
        print(line, flush=True)
    print("* the server has gone")


async def say(client: AsyncTCPNetworkClient[str, str]) -> None:
    # Do not call input() in a thread: nothing could interrupt it.
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        await client.send_packet(line.decode().rstrip("\n"))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("name", help="the name that the others see")
    options = parser.parse_args()

    async with AsyncTCPNetworkClient((options.host, options.port), PROTOCOL) as client:
        await client.send_packet(options.name)
        tasks = [asyncio.create_task(show(client)), asyncio.create_task(say(client))]
        _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
