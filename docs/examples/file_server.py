"""Store text files for clients that know the password.

Commands and replies are lines. A reply begins with a number; 400 and above report an error. The first line that a
client sends is the password. Commands follow:

    LIST                one reply with the names of all files
    FETCH name          a reply with the number of lines, then these lines
    STORE name count    a reply to continue; the server then reads this many lines and sends another reply
    QUIT                one reply, then the server closes the connection
"""

import argparse
import asyncio
import hmac
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import StringLineSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

PROTOCOL: StreamProtocol[str, str] = StreamProtocol(StringLineSerializer(encoding="utf-8", limit=1024))
PATIENCE = 60.0  # seconds
NAME = re.compile(r"\w[\w.-]*")  # a name that cannot lead out of the folder
COUNT = re.compile(r"\d{1,4}")


class FileService(AsyncStreamRequestHandler[str, str]):
    """Serve the files of one folder."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self.password = password

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[float, str]:
        try:
            await client.send_packet("331 password?")
            password = yield PATIENCE
            if not hmac.compare_digest(password.encode(), self.password.encode()):
                await client.send_packet("530 no")
                await client.aclose()
                return
            await client.send_packet("230 welcome")
            while True:
                command = yield PATIENCE
                match command.split():
                    # File access may be slow and must not delay other clients, so it runs in a thread.
                    case ["LIST"]:
                        replies = await asyncio.to_thread(self.names)
                    case ["FETCH", name] if NAME.fullmatch(name):
                        replies = await asyncio.to_thread(self.fetch, name)
                    case ["STORE", name, count] if NAME.fullmatch(name) and COUNT.fullmatch(count):
                        await client.send_packet("354 go on")
                        lines = []
                        for _ in range(int(count)):
                            line = yield PATIENCE
                            lines.append(line)
                        replies = await asyncio.to_thread(self.store, name, lines)
                    case ["QUIT"]:
                        break
                    case _:
                        replies = ["500 what?"]
                for reply in replies:
                    await client.send_packet(reply)
            await client.send_packet("221 goodbye")
        except (TimeoutError, StreamProtocolParseError) as error:
            # Close the connection: the remaining lines of a file would be parsed as commands.
            await client.send_packet(f"421 {type(error).__name__}")
        await client.aclose()

    def names(self) -> list[str]:
        return [f"250 {' '.join(sorted(path.name for path in self.folder.iterdir()))}"]

    def fetch(self, name: str) -> list[str]:
        try:
            lines = (self.folder / name).read_text("utf-8").splitlines()
        except OSError as error:
            return [f"550 {error.strerror}"]
        return [f"250 {len(lines)} lines", *lines]

    def store(self, name: str, lines: list[str]) -> list[str]:
        try:
            (self.folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        except OSError as error:
            return [f"550 {error.strerror}"]
        return [f"250 {len(lines)} lines"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Store text files for clients that know the password.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--password", default="sesame")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    service = FileService(options.folder, options.password)
    with StandaloneTCPNetworkServer(options.host, options.port, PROTOCOL, service) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
