"""Send lines of text over UDP and print the answers."""

import argparse
import asyncio

from echo import DATAGRAM_PROTOCOL, ask

from easynetwork.clients import AsyncUDPNetworkClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--patience", type=float, default=5.0, help="seconds to wait for all answers")
    parser.add_argument("lines", nargs="+")
    options = parser.parse_args()

    async with AsyncUDPNetworkClient((options.host, options.port), DATAGRAM_PROTOCOL) as client:
        # A datagram may get lost without an error: never wait for one without a time limit.
        async with asyncio.timeout(options.patience):
            await ask(client, options.lines)


if __name__ == "__main__":
    asyncio.run(main())
