"""Keep a stock of articles. Requests and replies are lines of JSON, each of a type."""

import argparse
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress

from stock import SERVER_PROTOCOL, Articles, List, Put, Refusal, Reply, Request, Take

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class Stock(AsyncStreamRequestHandler[Request, Reply]):
    """Answer each request with what is there after it."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def handle(self, client: AsyncStreamClient[Reply]) -> AsyncGenerator[None, Request]:
        while True:
            try:
                request = yield
            except StreamProtocolParseError as exc:
                await client.send_packet(Refusal(str(exc.error)))  # for example: Expected `int` ... at `$.count`
            else:
                await client.send_packet(self.reply_to(request))

    def reply_to(self, request: Request) -> Reply:
        match request:
            case Put(article, count):
                self.counts[article] += count
                return Articles({article: self.counts[article]})
            case Take(article, count):
                if self.counts[article] < count:
                    return Refusal(f"there are {self.counts[article]} of {article!r}")
                self.counts[article] -= count
                return Articles({article: self.counts[article]})
            case List():
                return Articles(+self.counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with StandaloneTCPNetworkServer(options.host, options.port, SERVER_PROTOCOL, Stock()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
