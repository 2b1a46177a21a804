"""Send lines of text over TLS and print the answers."""

import argparse
import asyncio
import ssl

from echo import PROTOCOL, ask

from easynetwork.clients import AsyncTCPNetworkClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost", help="name for which the server's certificate must be valid")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--trust", metavar="FILE", help="certificate of an authority to trust instead of the system's")
    parser.add_argument("lines", nargs="+")
    options = parser.parse_args()

    context = ssl.create_default_context(cafile=options.trust)
    async with AsyncTCPNetworkClient((options.host, options.port), PROTOCOL, ssl=context) as client:
        await ask(client, options.lines)


if __name__ == "__main__":
    asyncio.run(main())
