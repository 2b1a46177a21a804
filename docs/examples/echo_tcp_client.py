"""Send lines of text over TCP and print the answers."""

import argparse
import asyncio

from echo import PROTOCOL, ask

from easynetwork.clients import AsyncTCPNetworkClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("lines", nargs="+")
    options = parser.parse_args()

    async with AsyncTCPNetworkClient((options.host, options.port), PROTOCOL) as client:
        await ask(client, options.lines)


if __name__ == "__main__":
    asyncio.run(main())
