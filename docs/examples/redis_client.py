"""Talk to a Redis server: send one command, or those on the standard input, or print what a channel says.

redis_client.py set name Ada
redis_client.py < commands.txt
redis_client.py subscribe news
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence

from resp import CLIENT_PROTOCOL, Command, RedisError, Reply, words

from easynetwork.clients import AsyncTCPNetworkClient


class Redis:
    """A connection to a Redis server, for one task."""

    def __init__(self, client: AsyncTCPNetworkClient[Command, Reply]) -> None:
        self.client = client

    async def run(self, *command: bytes) -> Reply:
        """Run one command. Return its reply, or raise it if it is an error."""
        await self.client.send_packet(list(command))
        reply = await self.client.recv_packet()
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def run_all(self, commands: Sequence[Command]) -> list[Reply]:
        """Run many commands without waiting for each reply. Return all replies, errors too."""
        async with asyncio.TaskGroup() as group:
            # Receive meanwhile: a server need not take more commands while nobody reads its replies.
            group.create_task(self.send_all(commands))
            return [await self.client.recv_packet() for _ in commands]

    async def send_all(self, commands: Sequence[Command]) -> None:
        for command in commands:
            await self.client.send_packet(command)

    async def subscribe(self, *channels: bytes) -> AsyncIterator[tuple[Reply, Reply]]:
        """Give each message with its channel. The connection can do nothing else then."""
        await self.client.send_packet([b"SUBSCRIBE", *channels])
        async for reply in self.client.iter_received_packets(timeout=None):
            match reply:
                case [b"message", channel, message]:
                    yield channel, message
                case RedisError():
                    raise reply


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("words", nargs="*", help="of one command")
    options = parser.parse_args()

    async with AsyncTCPNetworkClient((options.host, options.port), CLIENT_PROTOCOL) as client:
        redis = Redis(client)
        match [word.encode() for word in options.words]:
            case [b"subscribe", *channels]:
                async for channel, message in redis.subscribe(*channels):
                    print(channel, message, flush=True)
            case []:
                commands = [command for line in sys.stdin.buffer if (command := words(line))]
                for reply in await redis.run_all(commands):
                    print(repr(reply) if isinstance(reply, RedisError) else reply)
            case command:
                try:
                    print(await redis.run(*command))
                except RedisError as error:
                    sys.exit(f"error: {error}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
