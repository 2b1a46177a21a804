"""The messages of DNS: RFC 1035, and the OPT record of RFC 6891 (EDNS), which allows larger datagrams."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias

from easynetwork.exceptions import DeserializeError
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.framing import FramedPacketSerializer, LengthPrefixedFrames

HEADER = struct.Struct(">6H")  # id, flags, and the numbers of questions and of answer, authority and additional records
QUESTION = struct.Struct(">HH")  # type and class, after the name
RECORD = struct.Struct(">HHIH")  # type, class, time to live and size of the data, between the name and the data

IS_RESPONSE, OPCODE, AUTHORITATIVE, TRUNCATED, RECURSION_DESIRED = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100
DNSSEC_OK = 0x8000  # a flag of the OPT record

INTERNET = 1  # the only class of records that is in use

# The limits of a datagram, in bytes:
SMALLEST_LIMIT = 512  # every client accepts this size
LARGEST_LIMIT = 1232  # no network fragments this size; see https://www.dnsflagday.net/2020/


class Type(IntEnum):
    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    MX = 15
    TXT = 16
    AAAA = 28
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(IntEnum):
    NOERROR = 0
    FORMERR = 1
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


Name: TypeAlias = tuple[bytes, ...]
"""The labels of a name, without the empty label of the root."""


def to_name(text: str) -> Name:
    return tuple(text.removesuffix(".").encode("ascii").split(b"."))


def lower(name: Name) -> Name:
    """Return *name* in lower case: names are equal if they differ in case only."""
    return tuple(label.lower() for label in name)


class Question(NamedTuple):
    name: Name
    type: int
    class_: int


class Edns(NamedTuple):
    """The OPT record of a query, without its options."""

    size_limit: int
    version: int
    flags: int


class Query(NamedTuple):
    id: int
    flags: int
    question: Question | None
    """None if the query is malformed after its header."""
    edns: Edns | None


class RecordData(NamedTuple):
    type: Type
    parts: tuple[bytes | Name, ...]


def A(address: str) -> RecordData:
    return RecordData(Type.A, (IPv4Address(address).packed,))


def AAAA(address: str) -> RecordData:
    return RecordData(Type.AAAA, (IPv6Address(address).packed,))


def NS(host: str) -> RecordData:
    return RecordData(Type.NS, (to_name(host),))


def CNAME(host: str) -> RecordData:
    return RecordData(Type.CNAME, (to_name(host),))


def MX(preference: int, host: str) -> RecordData:
    return RecordData(Type.MX, (preference.to_bytes(2, "big"), to_name(host)))


def TXT(text: str) -> RecordData:
    data = text.encode()
    strings = [data[start : start + 255] for start in range(0, len(data), 255)] or [b""]
    return RecordData(Type.TXT, tuple(bytes([len(string)]) + string for string in strings))


def SOA(
    primary: str, mailbox: str, serial: int, refresh: int, retry: int, expire: int, negative_ttl: int
) -> RecordData:
    times = struct.pack(">5I", serial, refresh, retry, expire, negative_ttl)
    return RecordData(Type.SOA, (to_name(primary), to_name(mailbox), times))


class Record(NamedTuple):
    name: Name
    ttl: int
    data: RecordData


@dataclass(slots=True)
class Reply:
    query: Query
    rcode: Rcode
    is_authoritative: bool = False
    answers: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    size_limit: int = 0xFFFF


class Writer:
    """Writes names with compression: a name, or the end of one, that was written before becomes a pointer to it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.positions: dict[Name, int] = {}

    def write_name(self, name: Name) -> None:
        key = lower(name)
        for index, label in enumerate(name):
            position = self.positions.get(key[index:])
            if position is not None:
                self.data += (0xC000 | position).to_bytes(2, "big")
                return
            if len(self.data) < 0x4000:  # a pointer has 14 bits
                self.positions[key[index:]] = len(self.data)
            self.data += bytes([len(label)]) + label
        self.data += b"\0"

    def write_record(self, record: Record) -> None:
        self.write_name(record.name)
        position = len(self.data)
        self.data += bytes(RECORD.size)
        for part in record.data.parts:
            if isinstance(part, bytes):
                self.data += part
            else:
                self.write_name(part)
        size = len(self.data) - position - RECORD.size
        RECORD.pack_into(self.data, position, record.data.type, INTERNET, record.ttl, size)


def encode_reply(reply: Reply) -> bytes:
    data = _encode(reply, reply.answers, reply.authority)
    return data if len(data) <= reply.size_limit else _encode(reply, (), (), TRUNCATED)


def _encode(reply: Reply, answers: Sequence[Record], authority: Sequence[Record], flags: int = 0) -> bytes:
    query = reply.query
    flags |= IS_RESPONSE | query.flags & (OPCODE | RECURSION_DESIRED) | reply.rcode & 0xF
    if reply.is_authoritative:
        flags |= AUTHORITATIVE
    writer = Writer()
    has_question, has_edns = query.question is not None, query.edns is not None
    writer.data += HEADER.pack(query.id, flags, has_question, len(answers), len(authority), has_edns)
    if query.question is not None:
        writer.write_name(query.question.name)
        writer.data += QUESTION.pack(query.question.type, query.question.class_)
    for record in (*answers, *authority):
        writer.write_record(record)
    if query.edns is not None:
        extended_flags = reply.rcode >> 4 << 24 | query.edns.flags & DNSSEC_OK
        writer.data += b"\0" + RECORD.pack(Type.OPT, LARGEST_LIMIT, extended_flags, 0)
    return bytes(writer.data)


def decode_query(data: bytes) -> Query:
    """Return the query in *data*.

    Raises:
        DeserializeError: *data* is shorter than a header, so it cannot be answered.
    """
    if len(data) < HEADER.size:
        raise DeserializeError("shorter than a header")
    id, flags, questions, *records = HEADER.unpack_from(data)
    try:
        if questions != 1:
            raise ValueError("not one question")
        question, end = _read_question(data)
        return Query(id, flags, question, _read_edns(data, end, sum(records)))
    except (ValueError, IndexError, struct.error):  # IndexError and struct.error: the message ends too early
        return Query(id, flags, None, None)


def _read_question(data: bytes) -> tuple[Question, int]:
    name = read_name(data, HEADER.size)
    end = end_of_name(data, HEADER.size)
    return Question(name, *QUESTION.unpack_from(data, end)), end + QUESTION.size


def _read_edns(data: bytes, start: int, records: int) -> Edns | None:
    edns = None
    for _ in range(records):
        end = end_of_name(data, start)
        type, class_, ttl, size = RECORD.unpack_from(data, end)
        if type == Type.OPT:
            if edns is not None or data[start] != 0:
                raise ValueError("two OPT records, or one with a name")
            edns = Edns(class_, ttl >> 16 & 0xFF, ttl & 0xFFFF)
        start = end + RECORD.size + size
    if start != len(data):
        raise ValueError("more or fewer bytes than announced")
    return edns


def read_name(data: bytes, start: int) -> Name:
    """Return the name that begins at *start*, and follow its pointers.

    Raises:
        ValueError: the name is invalid.
        IndexError: *data* ends too early.
    """
    labels: list[bytes] = []
    size = 1
    position = start
    while length := data[position]:
        if length >= 0xC0:
            position = int.from_bytes(data[position : position + 2], "big") & 0x3FFF
            # Every pointer leads to an earlier place than the one before it, so they cannot form a loop.
            if not HEADER.size <= position < start:
                raise ValueError("a pointer that does not lead to an earlier name")
            start = position
        else:
            size += 1 + length
            if length > 63 or size > 255:
                raise ValueError("a label or a name is too long")
            labels.append(data[position + 1 : position + 1 + length])
            position += 1 + length
    return tuple(labels)


def end_of_name(data: bytes, start: int) -> int:
    while length := data[start]:
        if length >= 0xC0:  # a pointer, which ends the name
            return start + 2
        if length > 63:
            raise ValueError("a label is too long")
        start += 1 + length
    return start + 1


class DNSSerializer(FramedPacketSerializer[Reply, Query]):
    """Receives queries and sends replies. In a stream, each has its size in two bytes in front."""

    def frame_format(self) -> LengthPrefixedFrames:
        return LengthPrefixedFrames(2)

    def serialize(self, packet: Reply, /) -> bytes:
        return encode_reply(packet)

    def deserialize(self, data: bytes, /) -> Query:
        return decode_query(data)


UDP_PROTOCOL = DatagramProtocol(DNSSerializer())
TCP_PROTOCOL = StreamProtocol(DNSSerializer())
