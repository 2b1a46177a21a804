"""Measure what each way to state a framing costs: `python benchmarks/framings.py --help`.

Decode chunks of small packets, and encode the packets, with this library and with code written by hand for one framing
alone. That code keeps an incomplete packet, checks a limit, and does nothing else.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.report import number, table
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.serializers.framing import (
    CobsFrames,
    CountedBodyFrames,
    CutFrames,
    FixedSizeFrames,
    FramedPacketSerializer,
    FrameFormat,
    LengthPrefixedFrames,
    NetstringFrames,
    SeparatedFrames,
    SlipFrames,
    VarintFrames,
    parse_decimal,
)
from easynetwork.serializers.tools import GeneratorStreamReader

LIMIT = 64 * 1024
PACKET = b"twenty bytes or less"
PACKETS_PER_CHUNK = 16
READ_SIZE = 64 * 1024
PACKETS_PER_TIMING = 4000

_SIZE = struct.Struct(">I")


class Framed(FramedPacketSerializer[bytes, bytes]):
    """Bytes in any frames."""

    def __init__(self, frames: FrameFormat) -> None:
        self._frames = frames

    def frame_format(self) -> FrameFormat:
        return self._frames

    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        return data


class ByGenerator(AbstractIncrementalPacketSerializer[bytes, bytes]):
    """A length in four bytes, by the generators that a user would write."""

    def incremental_serialize(self, packet: bytes, /) -> Generator[bytes]:
        yield _SIZE.pack(len(packet)) + packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        reader = GeneratorStreamReader()
        (size,) = _SIZE.unpack((yield from reader.read_exactly(4)))
        packet = yield from reader.read_exactly(size)
        return packet, reader.read_all()


def cut(data: bytes, start: int) -> int:
    """Cut frames that begin with a length in four bytes."""
    after_size = start + 4
    return after_size + _SIZE.unpack_from(data, start)[0] if len(data) >= after_size else after_size


# --- the same, written by hand


class ByHand:
    """Cuts chunks into packets. It keeps what is incomplete."""

    def __init__(self) -> None:
        self.kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        data = self.kept + data if self.kept else data
        packets, end = self.split(data)
        self.kept = data[end:]
        if len(self.kept) > LIMIT + 20:
            raise ValueError("too large")
        return packets

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        raise NotImplementedError


class Lines(ByHand):
    def split(self, data: bytes) -> tuple[list[bytes], int]:
        *packets, rest = data.split(b"\n")
        return packets, len(data) - len(rest)


class Blocks(ByHand):
    def split(self, data: bytes) -> tuple[list[bytes], int]:
        end = len(data) // 20 * 20
        return [data[start : start + 20] for start in range(0, end, 20)], end


class Lengths(ByHand):
    def split(self, data: bytes) -> tuple[list[bytes], int]:
        packets: list[bytes] = []
        start, size = 0, len(data)
        while size - start >= 4:
            length = _SIZE.unpack_from(data, start)[0]
            if length > LIMIT:
                raise ValueError("too large")
            end = start + 4 + length
            if end > size:
                break
            packets.append(data[start + 4 : end])
            start = end
        return packets, start


class Varints(ByHand):
    def split(self, data: bytes) -> tuple[list[bytes], int]:
        packets: list[bytes] = []
        start, size = 0, len(data)
        while start < size:
            length = shift = 0
            for position in range(start, min(start + 10, size)):
                length |= (data[position] & 0x7F) << shift
                if data[position] < 0x80:
                    break
                shift += 7
            else:
                break
            if length > LIMIT:
                raise ValueError("too large")
            end = position + 1 + length
            if end > size:
                break
            packets.append(data[position + 1 : end])
            start = end
        return packets, start


class Netstrings(ByHand):
    after_number, after_packet = b":", b","

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        packets: list[bytes] = []
        start, size = 0, len(data)
        while (colon := data.find(self.after_number, start)) >= 0:
            digits = data[start:colon]
            if not digits.isdigit() or (length := int(digits)) > LIMIT:
                raise ValueError("not a size")
            begin = colon + len(self.after_number)
            end = begin + length + len(self.after_packet)
            if end > size:
                break
            if not data.endswith(self.after_packet, begin, end):
                raise ValueError("no end")
            packets.append(data[begin : begin + length])
            start = end
        return packets, start


class Counted(Netstrings):
    after_number, after_packet = b"\r\n", b"\r\n"


class Slip(ByHand):
    def split(self, data: bytes) -> tuple[list[bytes], int]:
        *frames, rest = data.split(b"\xc0")
        packets = []
        for frame in frames:
            if frame:
                if b"\xdb" in frame:
                    frame = frame.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                packets.append(frame)
        return packets, len(data) - len(rest)


class Cobs(ByHand):
    def split(self, data: bytes) -> tuple[list[bytes], int]:
        *frames, rest = data.split(b"\0")
        packets = []
        for frame in frames:
            packet = bytearray()
            start = 0
            while start < len(frame):
                end = start + frame[start]
                if end > len(frame):
                    raise ValueError("not COBS")
                packet += frame[start + 1 : end]
                if end - start < 255 and end < len(frame):
                    packet.append(0)
                start = end
            packets.append(bytes(packet))
        return packets, len(data) - len(rest)


def encode_cobs(packet: bytes) -> bytes:
    """Encode a packet of less than 254 bytes."""
    return b"".join(b"%c%b" % (len(part) + 1, part) for part in packet.split(b"\0")) + b"\0"


def encode_slip(packet: bytes) -> bytes:
    return b"\xc0" + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def encode_with_size(packet: bytes) -> bytes:
    return _SIZE.pack(len(packet)) + packet


@dataclass(frozen=True)
class Way:
    """A way to state a framing."""

    serializer: Any
    by_hand: Callable[[], ByHand]
    encode_by_hand: Callable[[bytes], bytes]
    packet: bytes = PACKET


WAYS = {
    "separator": Way(Framed(SeparatedFrames(b"\n", LIMIT)), Lines, lambda packet: packet + b"\n"),
    "fixed size": Way(Framed(FixedSizeFrames(20)), Blocks, lambda packet: packet),
    "length in 4 bytes": Way(Framed(LengthPrefixedFrames(4)), Lengths, encode_with_size),
    "varint": Way(Framed(VarintFrames()), Varints, lambda packet: b"%c%b" % (len(packet), packet)),
    "netstring": Way(Framed(NetstringFrames()), Netstrings, lambda packet: b"%d:%b," % (len(packet), packet)),
    "counted body": Way(
        Framed(CountedBodyFrames(parse_decimal, b"\r\n", b"\r\n")),
        Counted,
        lambda packet: packet + b"\r\n",
        b"%d\r\n%b" % (len(PACKET), PACKET),
    ),
    "SLIP": Way(Framed(SlipFrames()), Slip, encode_slip),
    "COBS": Way(Framed(CobsFrames()), Cobs, encode_cobs),
    "function that cuts": Way(Framed(CutFrames(cut)), Lengths, lambda packet: packet, encode_with_size(PACKET)),
    "generator": Way(ByGenerator(), Lengths, encode_with_size),
}


def decode_function(serializer: Any) -> Callable[[bytes], list[bytes]]:
    """Return a function that decodes like a server."""
    decoder: Any = decoder_factory(StreamProtocol(serializer), READ_SIZE)()

    def decode(chunk: bytes) -> list[bytes]:
        packet = decoder.take_single(chunk)
        if packet is not NEED_DATA:
            return [packet]
        packets: list[bytes] = []
        while more := decoder.next_packets(64):
            packets += more
            if decoder.drained:
                break
        return packets

    return decode


def microseconds(function: Callable[[Any], object], argument: Any, packets: int) -> float:
    """Return the CPU time of one packet."""
    calls = range(max(PACKETS_PER_TIMING // packets, 1))
    start = time.process_time()
    for _ in calls:
        function(argument)
    return (time.process_time() - start) / len(calls) / packets * 1e6


def measure(way: Way, rounds: int) -> list[float]:
    """Return the cost of decoding and encoding, by this library and by hand: the least of all rounds."""
    decode, encode = decode_function(way.serializer), packet_encoder(StreamProtocol(way.serializer))
    chunk = encode(way.packet) * PACKETS_PER_CHUNK
    cases: list[tuple[Callable[[Any], object], Any, int]] = [
        (decode, chunk, PACKETS_PER_CHUNK),
        (encode, way.packet, 1),
        (way.by_hand().feed, chunk, PACKETS_PER_CHUNK),
        (way.encode_by_hand, way.packet, 1),
    ]
    return [min(times) for times in zip(*([microseconds(*case) for case in cases] for _ in range(rounds)), strict=True)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="number of measurements, of which the least is reported")
    options = parser.parse_args(arguments)
    rows = []
    for name, way in WAYS.items():
        decode, encode, decode_by_hand, encode_by_hand = measure(way, options.rounds)
        ratio = (decode + encode) / (decode_by_hand + encode_by_hand)
        rows.append([name, *map(number, [decode, encode, decode_by_hand, encode_by_hand, ratio])])
    header = ["framing", "decode, µs", "encode, µs", "decode by hand", "encode by hand", "÷ by hand"]
    print(f"Packets of {len(PACKET)} bytes, {PACKETS_PER_CHUNK} in a chunk\n\n{table(header, rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
