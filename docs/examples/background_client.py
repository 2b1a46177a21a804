"""Ask the program that counts primes for its progress."""

import argparse
import asyncio
from typing import Any

from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import JSONSerializer


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()

    protocol: StreamProtocol[str, dict[str, Any]] = StreamProtocol(JSONSerializer())
    async with AsyncTCPNetworkClient((options.host, options.port), protocol) as client:
        await client.send_packet("how far?")
        count = await client.recv_packet()
        print(f"{count['primes']} primes among {count['tested']} numbers so far")


if __name__ == "__main__":
    asyncio.run(main())
