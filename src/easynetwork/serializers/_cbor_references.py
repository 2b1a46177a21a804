"""References inside of a CBOR item (http://cbor.schmorp.de/value-sharing): tag 28 marks an item, tag 29 repeats it."""

from __future__ import annotations

__all__ = ["check_references"]

from ._cbor_heads import read_argument, read_head
from ._self_delimiting import Nesting

_SHAREABLE, _REFERENCE, _SET = 28, 29, 258


class _Open:
    """An item that holds others, of which not all have been seen.

    *items* were seen, *missing* are still to come (-1: until a break). *size* counts what it holds at any depth, as if
    each reference was replaced by what it refers to.
    """

    __slots__ = ("is_hashed", "is_map", "items", "missing", "shared", "size")

    def __init__(self, missing: int, *, is_map: bool = False, is_hashed: bool = False, shared: int = -1) -> None:
        self.missing = missing
        self.is_map = is_map
        self.is_hashed = is_hashed
        self.shared = shared  # the number by which it is referred to
        self.items = 0
        self.size = 1

    @property
    def is_next_hashed(self) -> bool:
        """Whether the next item is a key of a map or a member of a set, or inside of one."""
        return self.is_hashed or (self.is_map and self.items % 2 == 0)


def check_references(data: bytes) -> str | None:
    """Return what is wrong with the references in *data*, one whole item; None if nothing is.

    Refused are cycles, which are not plain data, and keys that are small only because of references: thirty tuples that
    hold the one before twice make a key whose hash takes minutes.
    """
    held = memoryview(data)
    outermost = _Open(1)
    open_items = [outermost]
    sizes: list[int | None] = []  # of the items that may be referred to, None while they are open
    hashed = position = 0
    while open_items:
        parent = open_items[-1]
        head = read_head(held, position) if position < len(held) else None
        if head is None or head[1] is Nesting.MALFORMED:
            return None  # The decoder will say so.
        major_type = held[position] >> 5
        tag = read_argument(held, position)[0] if major_type == 6 else -1
        position, nesting = head
        if nesting is Nesting.BREAK:
            parent.missing = 0
        elif tag == _REFERENCE:
            try:
                is_number = held[position] >> 5 == 0
                number, position = read_argument(held, position)
            except (EOFError, IndexError, ValueError):
                return None
            if not is_number:
                return "a reference must be a number"
            size = sizes[number] if number < len(sizes) else None
            if size is None:
                return f"the reference to item {number} makes a cycle, or there is no such item"
            if parent.is_next_hashed:
                hashed += size
                if hashed > len(held):
                    return "a map key or a member of a set is too large, with all that it refers to"
            _close(parent, min(size, len(held)))
        elif nesting == 0:
            _close(parent, 1)
        else:
            item = _Open(
                nesting if isinstance(nesting, int) else -1,
                is_map=major_type == 5,
                is_hashed=parent.is_next_hashed or tag == _SET,
            )
            if tag == _SHAREABLE:
                item.shared = len(sizes)
                sizes.append(None)
            open_items.append(item)
        while open_items and not (closed := open_items[-1]).missing:
            open_items.pop()
            if closed.shared >= 0:
                sizes[closed.shared] = closed.size
            if open_items:
                _close(open_items[-1], closed.size)
    return None


def _close(parent: _Open, size: int) -> None:
    """Take note that an item of *size* inside of *parent* is complete."""
    parent.items += 1
    parent.size += size
    if parent.missing > 0:
        parent.missing -= 1
