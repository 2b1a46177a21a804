"""Packets that show by themselves where they end, found without trying to load them again and again.

Loading an incomplete packet from its beginning each time that bytes arrive takes quadratic time. Here the bytes are
walked through once: what is needed to be loaded is known to be there.
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
    """Finds the end of one packet."""

    def find_end(self, held: memoryview, /) -> int:
        """Returns where the packet ends, or -1 if that is beyond *held*.

        Remembers what it has seen: from call to call, *held* only gets longer.
        """


def receive_to_end(finder: EndFinder, held: BytesIO, limit: int) -> Generator[None, bytes, int]:
    """Appends to *held* what arrives until *finder* finds the end; returns it, or -1 if *held* exceeds *limit* bytes.

    A `BytesIO` gives its bytes away without copying them, and lets them be seen.
    """
    while True:
        with held.getbuffer() as view:
            end = finder.find_end(view)
            if end >= 0 or len(view) > limit:
                return end
        held.write((yield))


class Nesting(enum.Enum):
    """What an item says other than how many items are inside."""

    UNTIL_BREAK = enum.auto()
    BREAK = enum.auto()
    MALFORMED = enum.auto()


ReadHead: TypeAlias = Callable[[memoryview, int], tuple[int, int | Nesting] | None]
"""Takes the bytes held and where an item begins. Returns where its own bytes end and how many items follow inside.

None if that cannot be said before more bytes arrive.
"""

_MAX_OPEN_ITEMS = 1000


class ItemEndFinder:
    """Finds the end of an item of a binary format in which each item begins with its size."""

    __slots__ = ("_missing", "_outer", "_position", "_read_head")

    def __init__(self, read_head: ReadHead) -> None:
        self._read_head = read_head
        self._position: int = 0
        self._missing: int = 1  # how many items follow, at any depth
        self._outer: list[int] = []  # the same, outside of each item that is open until a break

    def find_end(self, held: memoryview, /) -> int:
        """Returns where the item ends, or -1 if that is beyond *held*.

        For a malformed one, returns where that can be told: who loads it will say what is wrong.
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
                self._missing = 1  # one more item, or the break
        return self._position if self._position <= len(held) else -1


class SelfDelimitingSerializer(FileBasedPacketSerializer[SentDTOPacketT_contra, ReceivedDTOPacketT_co]):
    """A file-based serializer which does not load an incomplete packet each time that bytes arrive."""

    __slots__ = ()

    @abstractmethod
    def new_end_finder(self) -> EndFinder:
        """Returns what finds the end of one packet."""
        raise NotImplementedError

    def receive_more(self, data: bytes, /) -> Generator[None, bytes, bytes]:
        """Waits until the packet is complete, or more bytes are held than allowed."""
        received = yield
        if len(received) >= len(data):
            # Loading is faster than looking for the end, and what doubles each time cannot be loaded too often.
            return data + received
        held = BytesIO()
        held.write(data)
        held.write(received)
        del data, received
        yield from receive_to_end(self.new_end_finder(), held, self.buffer_limit)
        return held.getvalue()
