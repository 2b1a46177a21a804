"""Count primes, and report the progress to clients: the server runs in a thread, beside the work."""

import argparse
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import isqrt

from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import JSONSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler
from easynetwork.servers.threads_helper import NetworkServerThread


@dataclass
class Count:
    tested: int = 0
    primes: int = 0

    def run(self, limit: int) -> None:
        for number in range(limit):
            self.primes += number > 1 and all(number % divisor for divisor in range(2, isqrt(number) + 1))
            self.tested += 1


class Progress(AsyncStreamRequestHandler[object, dict[str, int]]):
    """Answer every request with the progress of the count."""

    def __init__(self, count: Count) -> None:
        self.count = count

    async def handle(self, client: AsyncStreamClient[dict[str, int]]) -> AsyncGenerator[None, object]:
        yield
        await client.send_packet(asdict(self.count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--limit", type=int, default=10_000_000)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    count = Count()
    protocol: StreamProtocol[dict[str, int], object] = StreamProtocol(JSONSerializer())
    with StandaloneTCPNetworkServer(options.host, options.port, protocol, Progress(count)) as server:
        thread = NetworkServerThread(server)
        thread.start()  # returns when clients can connect
        try:
            with suppress(KeyboardInterrupt):
                count.run(options.limit)
        finally:
            thread.join()  # shuts the server down
    print(f"{count.primes} primes among {count.tested} numbers")


if __name__ == "__main__":
    main()
