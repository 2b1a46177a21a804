"""Find the end of self-delimiting packets without repeated attempts to load them.

Loading an incomplete packet from its start whenever a chunk arrives takes quadratic time. Here the bytes are scanned
once, and a packet is loaded only when it is complete.
"""

from __future__ import annotations

__all__ = ["EndFinder", "ItemEndFinder", "Nesting", "SelfDelimitingSerializer", "receive_to_end"]

import enum
from abc import abstractmethod
from collections.abc import Callable, Generator
from io import BytesIO
from typing import Protocol, TypeAlias

from easynetwork._typing import ReceivedDTOPacketT_co, SentDTOPacketT_contra
from easynetwork.serializers.base_stream import FileBasedPacketSerializer


class EndFinder(Protocol):
    """Find the end of one packet."""

    def find_end(self, held: memoryview, /) -> int:
        """Return where the packet ends, or -1 if *held* does not contain the end.

        Keep state between calls: *held* only grows.
        """


def receive_to_end(finder: EndFinder, held: BytesIO, limit: int) -> Generator[None, bytes, int]:
    """Append received chunks to *held* until *finder* finds the end. Return it, or -1 if *held* exceeds *limit*.

    A `BytesIO` can be examined, and its contents extracted, without a copy.
    """
    while True:
        with held.getbuffer() as view:
            end = finder.find_end(view)
            if end >= 0 or len(view) > limit:
                return end
        held.write((yield))


class Nesting(enum.Enum):
    """What the head of an item says about nested items, if it does not give their number."""

    UNTIL_BREAK = enum.auto()
    BREAK = enum.auto()
    MALFORMED = enum.auto()


ReadHead: TypeAlias = Callable[[memoryview, int], tuple[int, int | Nesting] | None]
"""Takes the received bytes and the start of an item. Returns where its own bytes end and how many items it contains.

Returns None if more bytes are needed.
"""

_MAX_OPEN_ITEMS = 1000


class ItemEndFinder:
    """Find the end of an item in a binary format in which each item starts with its size."""

    __slots__ = ("_missing", "_outer", "_position", "_read_head")

    def __init__(self, read_head: ReadHead) -> None:
        self._read_head = read_head
        self._position: int = 0
        self._missing: int = 1  # items still to come, at any depth
        self._outer: list[int] = []  # the same count for each enclosing item that is open until a break

    def find_end(self, held: memoryview, /) -> int:
        """Return where the item ends, or -1 if *held* does not contain the end.

        For a malformed item, return the position where the error is detected. Loading it will report the error.
        """
        while self._missing:
            head = self._read_head(held, self._position) if self._position < len(held) else None
            if head is None:
                return -1
            self._position, nesting = head
            if isinstance(nesting, int):
                self._missing += nesting - 1
            elif nesting is Nesting.UNTIL_BREAK and len(self._outer) < _MAX_OPEN_ITEMS:
                self._outer.append(self._missing - 1)
                self._missing = 1
            elif nesting is Nesting.BREAK and self._outer and self._missing == 1:
                self._missing = self._outer.pop()
            else:
                self._missing = 0
                self._outer.clear()
            if not self._missing and self._outer:
                self._missing = 1  # the next item, or the break
        return self._position if self._position <= len(held) else -1


class SelfDelimitingSerializer(FileBasedPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """A file-based serializer that does not reload an incomplete packet whenever a chunk arrives."""

    __slots__ = ()

    @abstractmethod
    def new_end_finder(self) -> EndFinder:
        """Return a new object that finds the end of one packet."""
        raise NotImplementedError

    def receive_more(self, data: bytes, /) -> Generator[None, bytes, bytes]:
        """Wait until the packet is complete or longer than `buffer_limit`."""
        received = yield
        if len(received) >= len(data):
            # Loading is faster than searching for the end. While the data doubles each time, reloading stays linear.
            return data + received
        held = BytesIO()
        held.write(data)
        held.write(received)
        del data, received
        yield from receive_to_end(self.new_end_finder(), held, self.buffer_limit)
        return held.getvalue()
