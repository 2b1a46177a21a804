"""The packets of Redis: commands are lists of bytes; replies are bytes, text, numbers, errors, nothing, or many."""

import shlex
from typing import TypeAlias

from easynetwork.exceptions import DeserializeError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import CutFrames, FramedPacketSerializer

Command: TypeAlias = list[bytes]
Reply: TypeAlias = "bytes | str | int | list[Reply] | dict[bytes, Reply] | RedisError | None"

LIMIT = 1024 * 1024  # bytes of a command or a reply
LINE_LIMIT = 64 * 1024
DIGITS = 7  # of a number up to LIMIT
ARRAY, BULK = b"*$"
NO_LINES = str.maketrans("\r\n", "  ")


class RedisError(Exception):
    """An error reply. It begins with the kind of the error: ``ERR syntax error``."""


def cut_command(data: bytes, start: int) -> int:
    r"""Return where a command ends: ``*2\r\n$3\r\nGET\r\n$4\r\nname\r\n``, or a line of words."""
    if data[start] != ARRAY:
        return data.find(b"\n", start, start + LINE_LIMIT) + 1 or incomplete_line(data, start)
    end = data.find(b"\r\n", start) + 2
    if end < 2:
        return incomplete_line(data, start)
    count = data[start + 1 : end - 2]
    if not count.removeprefix(b"-").isdigit() or len(count) > DIGITS:
        raise DeserializeError("invalid multibulk length")
    for _ in range(int(count)):
        begin, end = end, data.find(b"\r\n", end) + 2
        if end < 2:
            return incomplete_line(data, begin)
        if data[begin] != BULK:
            raise DeserializeError(f"expected '$', got '{data[begin]:c}'")
        size = data[begin + 1 : end - 2]
        if not size.isdigit() or len(size) > DIGITS:
            raise DeserializeError("invalid bulk length")
        end += int(size) + 2
        if data[end - 2 : end] != b"\r\n" and end <= len(data):
            raise DeserializeError("an argument is longer than it says")
    return end


def cut_reply(data: bytes, start: int) -> int:
    r"""Return where a reply ends: a line, with ``$4`` the bulk after it, with ``*2`` two replies after it."""
    end, missing = start, 1
    while missing:
        begin, end = end, data.find(b"\r\n", end) + 2
        if end < 2:
            return incomplete_line(data, begin)
        missing -= 1
        if data[begin] in (ARRAY, BULK):
            size = number(data[begin + 1 : end - 2])
            if data[begin] == ARRAY:
                missing += max(size, 0)
            elif size >= 0:
                end += size + 2
    return end


def incomplete_line(data: bytes, begin: int) -> int:
    """Return up to where bytes are needed to find the end of a line, or 0: the library calls again when more arrive."""
    if len(data) - begin > LINE_LIMIT:
        raise DeserializeError("too big inline request")
    return begin if begin > len(data) else 0


def number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise DeserializeError("expected a number") from None


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
            case None:
                return b"$-1\r\n"
            case list():
                return b"*%d\r\n%b" % (len(packet), b"".join(map(self.serialize, packet)))
            case dict():
                return b"*%d\r\n%b" % (2 * len(packet), self.serialize_items(packet))
            case RedisError():
                return b"-%b\r\n" % str(packet).translate(NO_LINES).encode(errors="surrogateescape")

    def serialize_items(self, packet: dict[bytes, Reply]) -> bytes:
        return b"".join(self.serialize(key) + self.serialize(value) for key, value in packet.items())

    def deserialize(self, data: bytes, /) -> Command:
        if data[0] != ARRAY:
            return words(data)
        parts = data.split(b"\r\n")
        count = int(parts[0][1:])
        if len(parts) == 2 * count + 2:  # no argument contains the end of a line
            return parts[2::2]
        arguments = []
        end = len(parts[0]) + 2
        for _ in range(count):
            begin = data.index(b"\r\n", end) + 2
            end = begin + int(data[end + 1 : begin])
            arguments.append(data[begin:end])
            end += 2
        return arguments


class ServerSide3(ServerSide):
    """Sends replies of RESP3, which clients may ask for."""

    def serialize(self, packet: Reply, /) -> bytes:
        match packet:
            case None:
                return b"_\r\n"
            case dict():
                return b"%%%d\r\n%b" % (len(packet), self.serialize_items(packet))
        return super().serialize(packet)


def words(line: bytes) -> Command:
    """Split a typed command, as in ``SET name "Ada Lovelace"``."""
    if b'"' not in line and b"'" not in line:
        return line.split()
    try:
        return [word.encode("latin-1") for word in shlex.split(line.decode("latin-1"))]
    except ValueError:
        raise DeserializeError("unbalanced quotes in request") from None


class ClientSide(FramedPacketSerializer[Command, Reply]):
    """Sends commands and receives replies."""

    def frame_format(self) -> CutFrames:
        return CutFrames(cut_reply, LIMIT)

    def serialize(self, packet: Command, /) -> bytes:
        return b"*%d\r\n" % len(packet) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in packet)

    def deserialize(self, data: bytes, /) -> Reply:
        try:
            return self.parse(data, 0)[0]
        except RecursionError:
            raise DeserializeError("lists in too many lists") from None

    def parse(self, data: bytes, start: int) -> tuple[Reply, int]:
        """Return the reply that begins at *start*, and where it ends."""
        end = data.index(b"\r\n", start)
        line = data[start + 1 : end]
        end += 2
        match data[start : start + 1]:
            case b"+":
                return line.decode(errors="replace"), end
            case b"-":
                return RedisError(line.decode(errors="replace")), end
            case b":":
                return number(line), end
            case b"$" | b"*" if number(line) < 0:
                return None, end
            case b"$":
                return data[end : end + int(line)], end + int(line) + 2
            case b"*":
                replies = []
                for _ in range(int(line)):
                    reply, end = self.parse(data, end)
                    replies.append(reply)
                return replies, end
        raise DeserializeError("an unknown kind of reply")


SERVER_PROTOCOL = StreamProtocol(ServerSide())
SERVER_PROTOCOL_3 = StreamProtocol(ServerSide3())
CLIENT_PROTOCOL = StreamProtocol(ClientSide())
