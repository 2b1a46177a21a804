"""Send lines of text over a Unix socket and print the answers."""

import argparse
import asyncio

from echo import PROTOCOL, ask

from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", default="echo.sock")
    parser.add_argument("lines", nargs="+")
    options = parser.parse_args()

    async with AsyncUnixStreamClient(options.path, PROTOCOL) as client:
        await ask(client, options.lines)


if __name__ == "__main__":
    asyncio.run(main())
