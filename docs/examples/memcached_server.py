"""Serve a cache with the text protocol of memcached."""

import argparse
import logging
import math
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import NamedTuple

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.framing import CountedBodyFrames, FramedPacketSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

VALUE_LIMIT = 1024 * 1024
LINE_LIMIT = 64 * 1024
KEY_LIMIT = 250
MONTH = 30 * 24 * 60 * 60  # larger expiration times are points in time
STORAGE = {b"set": 5, b"add": 5, b"replace": 5, b"append": 5, b"prepend": 5, b"cas": 6}  # words of their lines


class Request(NamedTuple):
    words: list[bytes]
    noreply: bool
    block: bytes  # of a command that stores a value: the value and b"\r\n"


class MemcachedSerializer(FramedPacketSerializer[bytes, Request]):
    """Receives commands and sends replies."""

    def frame_format(self) -> CountedBodyFrames:
        return CountedBodyFrames(block_size, header_limit=LINE_LIMIT, limit=VALUE_LIMIT + 2)

    def encode_frame(self, packet: bytes, /) -> bytes:
        return self.serialize(packet)  # replies have other frames than commands

    def serialize(self, packet: bytes, /) -> bytes:
        return packet + b"\r\n"

    def deserialize(self, data: bytes, /) -> Request:
        line, _, block = data.partition(b"\n")
        return Request(*split(line), block)


def split(line: bytes) -> tuple[list[bytes], bool]:
    """Return the words of a command, and whether it wants no reply."""
    words = line.split()
    if words[-1:] == [b"noreply"] and words[0] not in (b"get", b"gets"):
        return words[:-1], True
    return words, False


def block_size(line: bytes) -> int | None:
    """Return how many bytes follow a command."""
    words, _ = split(line)
    stores_value = words and STORAGE.get(words[0]) == len(words) and words[4].isdigit() and len(words[4]) < 20
    return int(words[4]) + 2 if stores_value else None


class ClientError(Exception):
    """A request is wrong."""


def number(text: bytes, error: str = "bad command line format", bits: int = 64) -> int:
    if not text.isdigit() or len(text) > 20 or int(text) >= 1 << bits:
        raise ClientError(error)
    return int(text)


def deadline(text: bytes, error: str = "bad command line format") -> float:
    """Return the time when a value expires that shall live for some seconds."""
    seconds = number(text.removeprefix(b"-"), error)
    if text.startswith(b"-"):
        return -math.inf
    if seconds == 0:
        return math.inf
    return seconds if seconds > MONTH else time.time() + seconds


class Item(NamedTuple):
    value: bytes
    flags: int
    deadline: float
    unique: int


class Cache(AsyncStreamRequestHandler[Request, bytes]):
    """Keep values in memory."""

    def __init__(self) -> None:
        self.items: dict[bytes, Item] = {}
        self.last_unique = 0
        self.flush_at = math.inf

    async def handle(self, client: AsyncStreamClient[bytes]) -> AsyncGenerator[None, Request]:
        while True:
            try:
                request = yield
            except StreamProtocolParseError:
                await client.send_packet(b"SERVER_ERROR object too large for cache")
                continue
            if request.words[:1] == [b"quit"]:
                break
            try:
                reply = self.reply_to(request)
            except ClientError as error:
                reply = b"CLIENT_ERROR %b" % str(error).encode()
            if not request.noreply:
                await client.send_packet(reply)
        await client.aclose()

    def reply_to(self, request: Request) -> bytes:
        match request.words:
            case [b"get" | b"gets" as name, *keys] if keys:
                return b"".join(self.shown(key, name == b"gets") for key in keys) + b"END"
            case [b"set" | b"add" | b"replace" | b"append" | b"prepend" as name, key, flags, exptime, _]:
                return self.store(name, key, flags, exptime, request.block)
            case [b"cas", key, flags, exptime, _, unique]:
                return self.store(b"cas", key, flags, exptime, request.block, number(unique))
            case [b"delete", key] | [b"delete", key, b"0"]:
                return b"NOT_FOUND" if self.find(key) is None or not self.items.pop(key) else b"DELETED"
            case [b"incr" | b"decr" as name, key, text]:
                delta = number(text, "invalid numeric delta argument")
                return self.add(key, delta if name == b"incr" else -delta)
            case [b"touch", key, exptime]:
                expires = deadline(exptime, "invalid exptime argument")
                if (item := self.find(key)) is None:
                    return b"NOT_FOUND"
                self.items[key] = item._replace(deadline=expires)
                return b"TOUCHED"
            case [b"flush_all"] | [b"flush_all", _] as words:
                delay = number(words[1], "invalid exptime argument") if len(words) == 2 else 0
                self.flush_at = time.time() + delay
                return b"OK"
            case [b"version", *_]:
                return b"VERSION 1.6.0"
            case [b"verbosity", level]:
                number(level)
                return b"OK"
        return b"ERROR"

    def find(self, key: bytes) -> Item | None:
        if len(key) > KEY_LIMIT:
            raise ClientError("bad command line format")
        now = time.time()
        if self.flush_at <= now:
            self.items.clear()
            self.flush_at = math.inf
        item = self.items.get(key)
        if item is not None and item.deadline <= now:
            del self.items[key]
            return None
        return item

    def shown(self, key: bytes, with_unique: bool) -> bytes:
        if (item := self.find(key)) is None:
            return b""
        unique = b" %d" % item.unique if with_unique else b""
        return b"VALUE %b %d %d%b\r\n%b\r\n" % (key, item.flags, len(item.value), unique, item.value)

    def put(self, key: bytes, item: Item) -> None:
        self.last_unique += 1
        self.items[key] = item._replace(unique=self.last_unique)

    def store(self, name: bytes, key: bytes, flags: bytes, exptime: bytes, block: bytes, unique: int = 0) -> bytes:
        new = Item(block[:-2], number(flags, bits=32), deadline(exptime), 0)
        old = self.find(key)
        if not block.endswith(b"\r\n"):
            raise ClientError("bad data chunk" if block else "bad command line format")
        match name, old:
            case b"cas", None:
                return b"NOT_FOUND"
            case b"cas", Item() as item if item.unique != unique:
                return b"EXISTS"
            case (b"add", Item()) | (b"replace" | b"append" | b"prepend", None):
                return b"NOT_STORED"
            case b"append", Item() as item:
                new = item._replace(value=item.value + new.value)
            case b"prepend", Item() as item:
                new = item._replace(value=new.value + item.value)
        if len(new.value) > VALUE_LIMIT:
            return b"SERVER_ERROR object too large for cache"
        self.put(key, new)
        return b"STORED"

    def add(self, key: bytes, delta: int) -> bytes:
        if (item := self.find(key)) is None:
            return b"NOT_FOUND"
        old = number(item.value, "cannot increment or decrement non-numeric value")
        value = b"%d" % (max(old + delta, 0) % (1 << 64))  # beyond 64 bits, it begins at 0 again
        self.put(key, item._replace(value=value))
        return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11211)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    protocol = StreamProtocol(MemcachedSerializer())
    with StandaloneTCPNetworkServer(options.host, options.port, protocol, Cache()) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
