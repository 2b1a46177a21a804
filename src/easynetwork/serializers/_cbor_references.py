"""References within a CBOR item (http://cbor.schmorp.de/value-sharing). Tag 28 marks an item; tag 29 refers to it."""

from __future__ import annotations

__all__ = ["check_references"]

from ._cbor_heads import read_argument, read_head
from ._self_delimiting import Nesting

_SHAREABLE, _REFERENCE, _SET = 28, 29, 258


class _Open:
    """An item whose nested items have not all been read.

    *items* were read; *missing* are still to come, or -1 for all up to a break. *size* counts the nested items at any
    depth, with each reference replaced by its target.
    """

    __slots__ = ("is_hashed", "is_map", "items", "missing", "shared", "size")

    def __init__(self, missing: int, *, is_map: bool = False, is_hashed: bool = False, shared: int = -1) -> None:
        self.missing = missing
        self.is_map = is_map
        self.is_hashed = is_hashed
        self.shared = shared  # its number as the target of references, -1 if it is not one
        self.items = 0
        self.size = 1

    @property
    def is_next_hashed(self) -> bool:
        """Whether the next item is, or is nested in, a map key or a set member."""
        return self.is_hashed or (self.is_map and self.items % 2 == 0)


def check_references(data: bytes) -> str | None:
    """Return what is wrong with the references in *data*, one complete item, or None if they are valid.

    Cycles are rejected because they are not plain data. Map keys and set members that are small only because of
    references are rejected because of the cost of their hash: thirty tuples, each with two references to the previous
    one, make a key whose hash takes minutes.
    """
    held = memoryview(data)
    outermost = _Open(1)
    open_items = [outermost]
    sizes: list[int | None] = []  # of the items marked with tag 28; None until an item is complete
    hashed = position = 0
    while open_items:
        parent = open_items[-1]
        head = read_head(held, position) if position < len(held) else None
        if head is None or head[1] is Nesting.MALFORMED:
            return None  # the decoder reports the error
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
                return f"the reference to item {number} makes a cycle, or the item does not exist"
            if parent.is_next_hashed:
                hashed += size
                if hashed > len(held):
                    return "a map key or set member is too large, including the items that it refers to"
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
    """Record that an item of *size* within *parent* is complete."""
    parent.items += 1
    parent.size += size
    if parent.missing > 0:
        parent.missing -= 1
