"""Collect the readings of weather stations. Requests and replies are Protocol Buffers: see weather.proto."""

import argparse
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

from weather_pb2 import Reply, Request, Summary

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import ProtobufSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler


class Stations(AsyncStreamRequestHandler[Request, Reply]):
    """Answer each request with the summary of its station."""

    def __init__(self) -> None:
        self.degrees: dict[str, list[float]] = {}

    async def handle(self, client: AsyncStreamClient[Reply]) -> AsyncGenerator[None, Request]:
        while True:
            try:
                request = yield
            except StreamProtocolParseError as exc:
                await client.send_packet(Reply(error=str(exc.error)))
            else:
                await client.send_packet(self.reply_to(request))

    def reply_to(self, request: Request) -> Reply:
        match request.WhichOneof("request"):
            case "reading":
                station = request.reading.station
                self.degrees.setdefault(station, []).append(request.reading.degrees)
            case "question":
                station = request.question.station
            case _:  # from a client with a newer .proto file
                return Reply(error="an unknown request")
        if station not in self.degrees:
            return Reply(error="an unknown station")
        degrees = self.degrees[station]
        return Reply(summary=Summary(station=station, count=len(degrees), lowest=min(degrees), highest=max(degrees)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    protocol = StreamProtocol(ProtobufSerializer(Request, Reply))
    with StandaloneTCPNetworkServer(options.host, options.port, protocol, Stations()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
