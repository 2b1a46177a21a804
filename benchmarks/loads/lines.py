"""The lines that the load sends."""

from __future__ import annotations

import random

__all__ = ["make_lines"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def make_lines(frame: int, count: int, *, seed: int) -> bytes:
    """Return *count* different lines of *frame* bytes each, newline included. Each *seed* gives other lines."""
    rng = random.Random(seed)
    texts = (f"{seed}:{number}:" + "".join(rng.choices(_ALPHABET, k=min(frame, 512))) for number in range(count))
    return b"".join((text * (frame // len(text) + 1))[: frame - 1].encode("ascii") + b"\n" for text in texts)
