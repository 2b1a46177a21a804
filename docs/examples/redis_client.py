"""Send one command to a Redis server and print its reply."""

import argparse
import asyncio

from resp import CLIENT_PROTOCOL

from easynetwork.clients import AsyncTCPNetworkClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()

    async with AsyncTCPNetworkClient((options.host, options.port), CLIENT_PROTOCOL) as client:
        await client.send_packet([word.encode() for word in options.words])
        print(await client.recv_packet())


if __name__ == "__main__":
    asyncio.run(main())
