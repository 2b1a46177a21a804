"""Send the readings of a weather station, or ask for its summary, and print the replies."""

import argparse
import asyncio

from weather_pb2 import Question, Reading, Reply, Request

from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import ProtobufSerializer


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("station")
    parser.add_argument("degrees", nargs="*", type=float)
    options = parser.parse_args()

    requests = [Request(reading=Reading(station=options.station, degrees=degrees)) for degrees in options.degrees]
    protocol = StreamProtocol(ProtobufSerializer(Reply, Request))
    async with AsyncTCPNetworkClient((options.host, options.port), protocol) as client:
        for request in requests or [Request(question=Question(station=options.station))]:
            await client.send_packet(request)
            print(str(await client.recv_packet()).strip())


if __name__ == "__main__":
    asyncio.run(main())
