"""The head of a CBOR data item: a major type and an argument (RFC 8949, section 3)."""

from __future__ import annotations

__all__ = ["encode_tag", "read_argument", "read_head"]

from ._self_delimiting import Nesting


def read_head(held: memoryview, start: int) -> tuple[int, int | Nesting] | None:
    """Return where the head at *start* ends and how many items follow inside it, or None if the head is incomplete."""
    first = held[start]
    major_type, additional_information = first >> 5, first & 0x1F
    end = start + 1
    if additional_information < 24:
        argument = additional_information
    elif additional_information < 28:
        end += 1 << (additional_information - 24)
        if end > len(held):
            return None
        argument = int.from_bytes(held[start + 1 : end], "big")
    elif additional_information == 31 and major_type in (2, 3, 4, 5):
        return end, Nesting.UNTIL_BREAK
    else:
        return end, Nesting.BREAK if first == 0xFF else Nesting.MALFORMED
    match major_type:
        case 2 | 3:  # strings
            return end + argument, 0
        case 4:  # an array
            return end, argument
        case 5:  # a map
            return end, 2 * argument
        case 6:  # a tag
            return end, 1
        case _:
            return end, 0


def read_argument(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Return the argument of the head at *position* and the end of the head.

    Raises:
        EOFError: the head is incomplete.
        ValueError: the head has no argument.
    """
    if position >= len(data):
        raise EOFError
    information = data[position] & 0x1F
    position += 1
    if information < 24:
        return information, position
    if information > 27:
        raise ValueError(f"a head with the reserved size {information}")
    end = position + (1 << (information - 24))
    if end > len(data):
        raise EOFError
    return int.from_bytes(data[position:end], "big"), end


def encode_tag(tag: int) -> bytes:
    """Return the head of *tag*."""
    return b"\xdb" + tag.to_bytes(8, "big")
