"""Send one request to the stock and print its reply."""

import argparse
import asyncio

from stock import CLIENT_PROTOCOL, List, Put, Request, Take

from easynetwork.clients import AsyncTCPNetworkClient


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("request", choices=["put", "take", "list"])
    parser.add_argument("article", nargs="?", default="")
    parser.add_argument("count", nargs="?", type=int, default=1)
    options = parser.parse_args()

    request: Request
    match options.request:
        case "put":
            request = Put(options.article, options.count)
        case "take":
            request = Take(options.article, options.count)
        case _:
            request = List()
    async with AsyncTCPNetworkClient((options.host, options.port), CLIENT_PROTOCOL) as client:
        await client.send_packet(request)
        print(await client.recv_packet())


if __name__ == "__main__":
    asyncio.run(main())
