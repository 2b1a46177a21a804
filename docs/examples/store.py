"""The commands of the Redis server in redis_server.py, and the values that they work on. This module does no I/O."""

import time
from collections.abc import Callable
from fnmatch import fnmatchcase

from resp import Command, RedisError, Reply

ANY = 1 << 20


def integer(text: bytes) -> int:
    if not text.removeprefix(b"-").isdigit() or b"%d" % int(text[:20]) != text or not -(2**63) <= int(text) < 2**63:
        raise RedisError("ERR value is not an integer or out of range")
    return int(text)


class Store:
    """Values in memory, and the commands that work on them."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.deadlines: dict[bytes, float] = {}  # of those values that expire
        self.commands: dict[bytes, tuple[int, int, Callable[..., Reply]]] = {
            # The fewest arguments, the most, and what runs with them.
            b"PING": (0, 1, lambda text="PONG": text),
            b"ECHO": (1, 1, lambda text: text),
            b"GET": (1, 1, self.get),
            b"SET": (2, ANY, self.set),
            b"MGET": (1, ANY, lambda *keys: [self.get(key) for key in keys]),
            b"MSET": (2, ANY, self.set_many),
            b"DEL": (1, ANY, lambda *keys: sum(self.delete(key) for key in keys)),
            b"EXISTS": (1, ANY, lambda *keys: sum(self.get(key) is not None for key in keys)),
            b"INCR": (1, 1, lambda key: self.add(key, 1)),
            b"INCRBY": (2, 2, lambda key, number: self.add(key, integer(number))),
            b"DECR": (1, 1, lambda key: self.add(key, -1)),
            b"DECRBY": (2, 2, lambda key, number: self.add(key, -integer(number))),
            b"EXPIRE": (2, 2, lambda key, seconds: self.expire(key, integer(seconds))),
            b"PEXPIRE": (2, 2, lambda key, milliseconds: self.expire(key, integer(milliseconds) / 1000)),
            b"TTL": (1, 1, lambda key: self.time_left(key, 1)),
            b"PTTL": (1, 1, lambda key: self.time_left(key, 1000)),
            b"KEYS": (1, 1, lambda pattern: [key for key in self.keys() if fnmatchcase(key, pattern)]),
            b"DBSIZE": (0, 0, lambda: len(self.keys())),
            b"FLUSHDB": (0, 0, self.clear),
            b"FLUSHALL": (0, 0, self.clear),
            **dict.fromkeys([b"MULTI", b"EXEC", b"DISCARD"], (0, 0, lambda: None)),  # see transact()
            # What clients say when they connect.
            b"HELLO": (0, ANY, lambda *words: RedisError("NOPROTO unsupported protocol version")),
            b"SELECT": (1, 1, self.select),
            b"CLIENT": (2, ANY, lambda *words: "OK"),
            b"COMMAND": (0, ANY, lambda *words: []),
            b"CONFIG": (2, ANY, lambda *words: {words[-1]: b""}),
        }

    def find(self, command: Command) -> Callable[..., Reply]:
        """Return what runs a command."""
        name, count = command[0], len(command) - 1
        try:
            fewest, most, run = self.commands[name.upper()]
        except KeyError:
            words = "".join(f"'{word.decode(errors='surrogateescape')}' " for word in command[1:])
            shown = name[:128].decode(errors="surrogateescape")
            raise RedisError(f"ERR unknown command '{shown}', with args beginning with: {words[:128]}") from None
        if not fewest <= count <= most:
            raise RedisError(f"ERR wrong number of arguments for '{name.decode().lower()}' command")
        return run

    def reply_to(self, command: Command) -> Reply:
        try:
            return self.find(command)(*command[1:])
        except RedisError as error:
            return error

    def transact(self, name: bytes, transaction: list[Command] | None) -> tuple[Reply, list[Command] | None]:
        """Begin or end a transaction. Return the reply, and the transaction from then on."""
        match name, transaction:
            case b"MULTI", None:
                return "OK", []
            case b"MULTI", _:
                return RedisError("ERR MULTI calls can not be nested"), transaction
            case _, None:
                return RedisError(f"ERR {name.decode()} without MULTI"), None
            case b"EXEC", commands:
                return self.run_all(commands), None
        return "OK", None  # DISCARD

    def queue(self, command: Command, transaction: list[Command]) -> Reply:
        """Keep a command to run it later."""
        transaction.append(command)
        try:
            self.find(command)
        except RedisError as error:
            return error
        return "QUEUED"

    def run_all(self, transaction: list[Command]) -> Reply:
        """Run the commands of a transaction, unless one of them cannot run."""
        try:
            for command in transaction:
                self.find(command)
        except RedisError:
            return RedisError("EXECABORT Transaction discarded because of previous errors.")
        return [self.reply_to(command) for command in transaction]

    def get(self, key: bytes) -> bytes | None:
        if key in self.deadlines and self.deadlines[key] <= time.monotonic():
            del self.deadlines[key], self.values[key]
        return self.values.get(key)

    def set(self, key: bytes, value: bytes, *options: bytes) -> Reply:
        condition, ttl, wants_old = None, None, False
        words = iter(options)
        for word in words:
            match word.upper():
                case b"NX" | b"XX" as name if condition in (None, name):
                    condition = name
                case b"EX" | b"PX" as unit if ttl is None and (number := next(words, b"")):
                    ttl = number, 1000 if unit == b"EX" else 1
                case b"GET":
                    wants_old = True
                case _:
                    raise RedisError("ERR syntax error")
        milliseconds = integer(ttl[0]) * ttl[1] if ttl else 1
        if not 0 < milliseconds < 2**62:
            raise RedisError("ERR invalid expire time in 'set' command")
        old = self.get(key)
        if condition is not None and (old is None) != (condition == b"NX"):
            return old if wants_old else None
        self.values[key] = value
        self.deadlines.pop(key, None)
        if ttl:
            self.expire(key, milliseconds / 1000)
        return old if wants_old else "OK"

    def set_many(self, *words: bytes) -> Reply:
        if len(words) % 2:
            raise RedisError("ERR wrong number of arguments for 'mset' command")
        for key, value in zip(words[::2], words[1::2], strict=True):
            self.set(key, value)
        return "OK"

    def delete(self, key: bytes) -> bool:
        existed = self.get(key) is not None
        self.values.pop(key, None)
        self.deadlines.pop(key, None)
        return existed

    def add(self, key: bytes, number: int) -> int:
        old = self.get(key)
        total = number + (0 if old is None else integer(old))
        if not -(2**63) <= total < 2**63:
            raise RedisError("ERR increment or decrement would overflow")
        self.values[key] = b"%d" % total
        return total

    def expire(self, key: bytes, seconds: float) -> bool:
        if self.get(key) is None:
            return False
        self.deadlines[key] = time.monotonic() + seconds
        return True

    def time_left(self, key: bytes, unit: int) -> int:
        if self.get(key) is None:
            return -2
        return round((self.deadlines[key] - time.monotonic()) * unit) if key in self.deadlines else -1

    def keys(self) -> list[bytes]:
        return [key for key in list(self.values) if self.get(key) is not None]

    def clear(self) -> str:
        self.values.clear()
        self.deadlines.clear()
        return "OK"

    def select(self, index: bytes) -> str:
        if integer(index) != 0:
            raise RedisError("ERR DB index is out of range")
        return "OK"
