"""List, fetch and store the files of a file server."""

import argparse
import asyncio
from pathlib import Path

from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer

PROTOCOL: StreamProtocol[str, str] = StreamProtocol(StringLineSerializer(encoding="utf-8", limit=1024))


async def reply(client: AsyncTCPNetworkClient[str, str]) -> str:
    """Return the text of the next reply. Exit with it if the server refused the command."""
    code, _, text = (await client.recv_packet()).partition(" ")
    if code >= "400":
        raise SystemExit(f"refused: {text}")
    return text


async def list_names(client: AsyncTCPNetworkClient[str, str]) -> None:
    await client.send_packet("LIST")
    for name in (await reply(client)).split():
        print(name)


async def fetch(client: AsyncTCPNetworkClient[str, str], name: str) -> None:
    await client.send_packet(f"FETCH {name}")
    count, _ = (await reply(client)).split()
    for _ in range(int(count)):
        print(await client.recv_packet())


async def store(client: AsyncTCPNetworkClient[str, str], path: Path) -> None:
    lines = (await asyncio.to_thread(path.read_text, "utf-8")).splitlines()
    await client.send_packet(f"STORE {path.name} {len(lines)}")
    await reply(client)
    for line in lines:
        await client.send_packet(line)
    print("stored", await reply(client))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--password", default="sesame")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="show the names of all files")
    what.add_argument("--fetch", metavar="NAME", help="show a file")
    what.add_argument("--store", metavar="FILE", type=Path, help="send a file")
    options = parser.parse_args()

    async with AsyncTCPNetworkClient((options.host, options.port), PROTOCOL) as client:
        await reply(client)  # the server asks for the password
        await client.send_packet(options.password)
        await reply(client)
        if options.store:
            await store(client, options.store)
        elif options.fetch:
            await fetch(client, options.fetch)
        else:
            await list_names(client)
        await client.send_packet("QUIT")
        await reply(client)


if __name__ == "__main__":
    asyncio.run(main())
