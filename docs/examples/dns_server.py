"""Answer the queries of DNS for one domain, over UDP and TCP: dig @127.0.0.1 -p 5353 www.example.test"""

import argparse
import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress

from dnswire import (
    AAAA,
    CNAME,
    INTERNET,
    IS_RESPONSE,
    LARGEST_LIMIT,
    MX,
    NS,
    OPCODE,
    SMALLEST_LIMIT,
    SOA,
    TCP_PROTOCOL,
    TXT,
    UDP_PROTOCOL,
    A,
    Name,
    Query,
    Rcode,
    Record,
    RecordData,
    Reply,
    Type,
    lower,
    to_name,
)

from easynetwork.exceptions import DatagramProtocolParseError, StreamProtocolParseError
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer
from easynetwork.servers.handlers import (
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
)

PATIENCE = 10.0  # seconds without a query, after which the server closes a TCP connection
TTL = 300  # seconds for which clients may remember an answer, even a negative one
MOST_ALIASES = 8  # in one reply


class Zone:
    """The records of one domain, without wildcards and without delegations to other servers."""

    def __init__(
        self, domain: str, soa: RecordData, records: Mapping[str, Sequence[RecordData]], aliases: Mapping[str, str]
    ) -> None:
        self.domain = lower(to_name(domain))
        self.soa = Record(self.domain, TTL, soa)
        self.records = {lower(to_name(name)): data for name, data in records.items()}
        self.records[self.domain] = [*self.records.get(self.domain, ()), soa]
        self.aliases = {lower(to_name(alias)): name for alias, name in aliases.items()}
        # A name without records exists if a longer name ends with it.
        self.names = {name[start:] for name in (*self.records, *self.aliases) for start in range(len(name))}

    def __contains__(self, name: Name) -> bool:
        return lower(name[-len(self.domain) :]) == self.domain

    def reply_to(self, query: Query) -> Reply:
        if query.flags & OPCODE:
            return Reply(query, Rcode.NOTIMP)
        if query.question is None:
            return Reply(query, Rcode.FORMERR)
        if query.edns is not None and query.edns.version > 0:
            return Reply(query, Rcode.BADVERS)
        name, type, class_ = query.question
        if class_ != INTERNET or type in (Type.AXFR, Type.IXFR) or name not in self:
            return Reply(query, Rcode.REFUSED)
        return self.look_up(query, name, type)

    def look_up(self, query: Query, name: Name, type: int) -> Reply:
        reply = Reply(query, Rcode.NOERROR, is_authoritative=True)
        while alias := self.aliases.get(lower(name)):
            reply.answers.append(Record(name, TTL, CNAME(alias)))
            name = to_name(alias)
            if type in (Type.CNAME, Type.ANY) or name not in self or len(reply.answers) == MOST_ALIASES:
                return reply
        records = self.records.get(lower(name), ())
        if type == Type.ANY and records:
            type = records[0].type  # one type is enough (RFC 8482): large replies help attackers who forge addresses
        found = [Record(name, TTL, data) for data in records if data.type == type]
        reply.answers += found
        if not found:
            reply.authority.append(self.soa)
            if lower(name) not in self.names:
                reply.rcode = Rcode.NXDOMAIN
        return reply


class DatagramService(AsyncDatagramRequestHandler[Query, Reply]):
    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    async def handle(self, client: AsyncDatagramClient[Reply]) -> AsyncGenerator[None, Query]:
        try:
            query = yield
        except DatagramProtocolParseError:
            return  # not even a header
        if query.flags & IS_RESPONSE:
            return  # two servers that answer each other's replies would never stop
        reply = self.zone.reply_to(query)
        asked = SMALLEST_LIMIT if query.edns is None else query.edns.size_limit
        reply.size_limit = min(max(asked, SMALLEST_LIMIT), LARGEST_LIMIT)
        with suppress(OSError):  # the address may be forged, and one that nothing can be sent to
            await client.send_packet(reply)


class StreamService(AsyncStreamRequestHandler[Query, Reply]):
    def __init__(self, zone: Zone) -> None:
        self.zone = zone

    async def handle(self, client: AsyncStreamClient[Reply]) -> AsyncGenerator[float, Query]:
        try:
            query = yield PATIENCE
        except (TimeoutError, StreamProtocolParseError):
            await client.aclose()
            return
        if not query.flags & IS_RESPONSE:
            await client.send_packet(self.zone.reply_to(query))


EXAMPLE = Zone(
    "example.test",
    SOA("ns1.example.test", "hostmaster.example.test", 2026010100, 7200, 3600, 1209600, TTL),
    {
        "example.test": [
            NS("ns1.example.test"),
            NS("ns2.example.test"),
            MX(10, "mail.example.test"),
            TXT("v=spf1 mx -all"),
            A("192.0.2.1"),
            AAAA("2001:db8::1"),
        ],
        "ns1.example.test": [A("192.0.2.53"), AAAA("2001:db8::53")],
        "ns2.example.test": [A("192.0.2.54")],
        "mail.example.test": [A("192.0.2.25"), A("192.0.2.26")],
        "printer.office.example.test": [A("192.0.2.99")],
        "medium.example.test": [TXT("This text does not fit in a datagram of 512 bytes. " * 12)],
        "large.example.test": [TXT(f"{number}: this text is one of many. " * 12) for number in range(8)],
    },
    {
        "www.example.test": "example.test",
        "docs.example.test": "www.example.test",
        "shop.example.test": "example.invalid",
    },
)


async def serve(host: str, port: int) -> None:
    async with AsyncTCPNetworkServer(
        host, port, TCP_PROTOCOL, StreamService(EXAMPLE), logger=logging.getLogger("dns.tcp")
    ) as tcp_server:
        port = tcp_server.get_addresses()[0].port  # not 0: UDP has to use the port that TCP got
        async with AsyncUDPNetworkServer(
            host, port, UDP_PROTOCOL, DatagramService(EXAMPLE), logger=logging.getLogger("dns.udp")
        ) as udp_server:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(tcp_server.serve_forever())
                tasks.create_task(udp_server.serve_forever())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5353)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.host, options.port))


if __name__ == "__main__":
    main()
