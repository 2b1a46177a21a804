"""The packets of Redis: commands are lists of bytes; replies are bytes, text, numbers, errors or nothing."""

from typing import TypeAlias

from easynetwork.exceptions import DeserializeError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import CountedBodyFrames, CutFrames, FramedPacketSerializer, parse_decimal

Command: TypeAlias = list[bytes]
Reply: TypeAlias = bytes | str | int | Exception | None

LIMIT = 1024 * 1024  # bytes of a command or a reply
ARRAY, BULK = b"*$"


def cut_command(data: bytes, start: int) -> int:
    r"""Return where a command ends: ``*2\r\n$3\r\nGET\r\n$4\r\nname\r\n``, or a line of words."""
    end = data.find(b"\r\n", start) + 2
    if end < 2:
        return 0  # unknown: the library calls again when more bytes have arrived
    if data[start] != ARRAY:
        return end
    try:
        count = int(data[start + 1 : end])
        while count > 0:
            count -= 1
            begin, end = end, data.find(b"\r\n", end) + 2
            if end < 2:
                return begin if begin > len(data) else 0  # the command does not end before
            if data[begin] != BULK or (size := int(data[begin + 1 : end])) < 0:
                raise DeserializeError("expected the size of an argument")
            end += size + 2
    except ValueError:
        raise DeserializeError("expected a number") from None
    return end


class ServerSide(FramedPacketSerializer[Reply, Command]):
    """Receives commands and sends replies."""

    def frame_format(self) -> CutFrames:
        return CutFrames(cut_command, LIMIT)

    def serialize(self, packet: Reply, /) -> bytes:
        match packet:
            case bytes():
                return b"$%d\r\n%b\r\n" % (len(packet), packet)
            case str():
                return b"+%b\r\n" % packet.encode()
            case int():
                return b":%d\r\n" % packet
            case Exception():
                return b"-ERR %b\r\n" % str(packet).encode()
            case None:
                return b"$-1\r\n"

    def deserialize(self, data: bytes, /) -> Command:
        if data[0] != ARRAY:
            return data.split()
        parts = data.split(b"\r\n")
        count = int(parts[0][1:])
        if len(parts) == 2 * count + 2:  # no argument contains the end of a line
            return parts[2::2]
        arguments = []
        end = len(parts[0])
        for _ in range(count):
            begin = data.index(b"\r\n", end + 2) + 2
            end = begin + int(data[end + 3 : begin])
            arguments.append(data[begin:end])
        return arguments


def body_size(header: bytes) -> int | None:
    r"""Return how many bytes follow the header of a reply. Only ``$4\r\n`` has a body."""
    return parse_decimal(header[1:]) if header.startswith(b"$") and header != b"$-1" else None


class ClientSide(FramedPacketSerializer[Command, Reply]):
    """Sends commands and receives replies."""

    def frame_format(self) -> CountedBodyFrames:
        return CountedBodyFrames(body_size, header_end=b"\r\n", body_end=b"\r\n", limit=LIMIT)

    def encode_frame(self, packet: Command, /) -> bytes:
        return self.serialize(packet)  # commands have other frames than replies

    def serialize(self, packet: Command, /) -> bytes:
        return b"*%d\r\n" % len(packet) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in packet)

    def deserialize(self, data: bytes, /) -> Reply:
        header, _, body = data.partition(b"\r\n")
        match header[:1]:
            case b"$":
                return None if header == b"$-1" else body
            case b"+":
                return header[1:].decode()
            case b":":
                return int(header[1:])
            case b"-":
                return RuntimeError(header[1:].decode())
        raise DeserializeError("an unknown kind of reply")


SERVER_PROTOCOL = StreamProtocol(ServerSide())
CLIENT_PROTOCOL = StreamProtocol(ClientSide())
