"""What type checkers must reject. Nothing runs this module: mypy reads it.

Each ``type: ignore`` is an error that is expected. mypy complains about one that is not needed (``strict``), so a wrong
use that is accepted is an error, too. pyright has the same rule in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from tests.typing.thermometer import (
    DatagramThermometer,
    Reading,
    StreamThermometer,
    Verdict,
    client_converter,
    server_converter,
)

from easynetwork.clients import AsyncTCPNetworkClient, AsyncUDPNetworkClient, TCPNetworkClient, UDPNetworkClient
from easynetwork.clients.async_unix_stream import AsyncUnixStreamClient
from easynetwork.converter import StapledPacketConverter
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint, AsyncStreamReceiverEndpoint
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer, ConnectedStreamClient
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramSenderEndpoint
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import BufferedStreamProtocol, DatagramProtocol, StreamProtocol
from easynetwork.serializers import (
    MsgspecJSONSerializer,
    NamedTupleStructSerializer,
    PickleSerializer,
    ProtobufSerializer,
    StringLineSerializer,
    StructSerializer,
)
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.framing import CountedBodyFrames, CutFrames
from easynetwork.serializers.wrapper import ChecksumSerializer, FramedSerializer
from easynetwork.servers import (
    AsyncTCPNetworkServer,
    AsyncUDPNetworkServer,
    StandaloneTCPNetworkServer,
    StandaloneUDPNetworkServer,
)
from easynetwork.servers.async_unix_stream import AsyncUnixStreamServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

LINES = StringLineSerializer()
STREAM_CLIENT = StreamProtocol(LINES, client_converter())
STREAM_SERVER = StreamProtocol(LINES, server_converter())
DATAGRAM_CLIENT = DatagramProtocol(LINES, client_converter())
DATAGRAM_SERVER = DatagramProtocol(LINES, server_converter())
ADDRESS = ("127.0.0.1", 9)


def packets_of_another_type() -> None:
    LINES.serialize(b"bytes")  # type: ignore[arg-type]
    StructSerializer("!i").serialize([1])  # type: ignore[arg-type]
    MsgspecJSONSerializer(Reading).serialize(Verdict("hot"))  # type: ignore[arg-type]
    MsgspecJSONSerializer[Reading, Verdict](Reading).serialize(Reading(31))  # type: ignore[arg-type]
    client_converter().convert_to_dto_packet(Verdict("hot"))  # type: ignore[arg-type]
    DATAGRAM_CLIENT.make_datagram(Verdict("hot"))  # type: ignore[arg-type]
    STREAM_SERVER.generate_chunks(Reading(31))  # type: ignore[arg-type]


def serializers_that_do_not_fit(incremental: AbstractIncrementalPacketSerializer[str, str]) -> None:
    NamedTupleStructSerializer(Reading, {"degrees": "i"})  # type: ignore[type-var]
    MsgspecJSONSerializer("Reading")  # type: ignore[arg-type]
    ProtobufSerializer(Reading)  # type: ignore[type-var]
    StreamProtocol(PickleSerializer())  # type: ignore[call-overload]
    BufferedStreamProtocol(incremental)  # type: ignore[call-overload]
    FramedSerializer(LINES, 4)  # type: ignore[arg-type]
    ChecksumSerializer(LINES, "md5")  # type: ignore[arg-type]
    CutFrames(lambda data: len(data))  # type: ignore[arg-type,misc]
    CountedBodyFrames(lambda header: header)  # type: ignore[arg-type,return-value]
    StreamProtocol(StructSerializer("!i"), client_converter())  # type: ignore[misc]


def converters_in_the_wrong_order() -> None:
    converter = StapledPacketConverter(server_converter(), client_converter())
    swapped: StapledPacketConverter[Reading, Verdict, str, str] = converter  # type: ignore[assignment]
    StreamProtocol[Reading, Verdict](LINES, swapped)


def clients_with_a_protocol_for_something_else() -> None:
    TCPNetworkClient(ADDRESS, DATAGRAM_CLIENT)  # type: ignore[call-overload]
    AsyncTCPNetworkClient(ADDRESS, DATAGRAM_CLIENT)  # type: ignore[call-overload]
    UDPNetworkClient(ADDRESS, STREAM_CLIENT)  # type: ignore[call-overload]
    AsyncUDPNetworkClient(ADDRESS, STREAM_CLIENT)  # type: ignore[call-overload]
    AsyncUnixStreamClient("socket", DATAGRAM_CLIENT)  # type: ignore[call-overload]


async def clients_that_send_what_they_receive(client: AsyncTCPNetworkClient[Reading, Verdict]) -> None:
    await client.send_packet(Verdict("hot"))  # type: ignore[arg-type]
    reading: Reading = await client.recv_packet()  # type: ignore[assignment]
    TCPNetworkClient(ADDRESS, STREAM_CLIENT).send_packet(Verdict(str(reading)))  # type: ignore[arg-type]
    async for packet in client.iter_received_packets():
        assert packet.degrees  # type: ignore[attr-defined]


def servers_with_the_protocol_of_the_client() -> None:
    handler = StreamThermometer()
    AsyncTCPNetworkServer("", 0, STREAM_CLIENT, handler)  # type: ignore[misc]
    StandaloneTCPNetworkServer("", 0, STREAM_CLIENT, handler)  # type: ignore[misc]
    AsyncUnixStreamServer("socket", STREAM_CLIENT, handler)  # type: ignore[misc]
    AsyncUDPNetworkServer("", 0, DATAGRAM_CLIENT, DatagramThermometer())  # type: ignore[misc]


def servers_with_a_handler_for_something_else() -> None:
    AsyncTCPNetworkServer("", 0, STREAM_SERVER, DatagramThermometer())  # type: ignore[arg-type]
    StandaloneUDPNetworkServer("", 0, DATAGRAM_SERVER, StreamThermometer())  # type: ignore[arg-type]


class SwappedTypes(AsyncStreamRequestHandler[Reading, Verdict]):
    async def handle(  # type: ignore[override]
        self, client: AsyncStreamClient[Reading], /
    ) -> AsyncGenerator[float | RecvParams | None, Verdict]:
        await client.send_packet((yield None))  # type: ignore[arg-type]


class NoGenerator(AsyncStreamRequestHandler[Reading, Verdict]):
    async def handle(self, client: AsyncStreamClient[Verdict], /) -> None:  # type: ignore[override]
        await client.send_packet(Verdict("hot"))


class StrangeYield(AsyncStreamRequestHandler[Reading, Verdict]):
    async def handle(self, client: AsyncStreamClient[Verdict], /) -> AsyncGenerator[float | RecvParams | None, Reading]:
        reading = yield "soon"  # type: ignore[misc]
        await client.send_packet(reading)  # type: ignore[arg-type]


async def endpoints(transport: AsyncStreamTransport) -> None:
    endpoint = AsyncStreamEndpoint(transport, STREAM_CLIENT, 1024)
    await endpoint.send_packet(Verdict("hot"))  # type: ignore[arg-type]
    AsyncStreamEndpoint(transport, DATAGRAM_CLIENT, 1024)  # type: ignore[arg-type]
    await AsyncStreamReceiverEndpoint(transport, STREAM_CLIENT, 1024).send_packet(Reading(31))  # type: ignore[attr-defined]
    DatagramSenderEndpoint(transport, DATAGRAM_CLIENT)  # type: ignore[arg-type]


async def low_level_servers(server: AsyncStreamServer[Reading, Verdict]) -> None:
    async def handle(client: ConnectedStreamClient[Reading]) -> AsyncGenerator[None, Any]:
        yield

    await server.serve(handle)  # type: ignore[arg-type]
