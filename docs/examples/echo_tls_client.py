"""Sends lines of text over TLS and prints the answers."""

import argparse
import asyncio
import ssl

from echo import PROTOCOL, ask

from easynetwork.clients import AsyncTCPNetworkClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost", help="what the certificate of the server has to be valid for")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--trust", metavar="FILE", help="certificate of an authority, in place of those of the system")
    parser.add_argument("lines", nargs="+")
    options = parser.parse_args()

    context = ssl.create_default_context(cafile=options.trust)
    async with AsyncTCPNetworkClient((options.host, options.port), PROTOCOL, ssl=context) as client:
        await ask(client, options.lines)


if __name__ == "__main__":
    asyncio.run(main())
