"""Streams of bytes that are nearly right."""

from __future__ import annotations

__all__ = ["mutate"]

import random

INTERESTING = [bytes([byte]) for byte in b'\0\xff\x80\n\r"\\{}[]=-\x9f']
INTERESTING += [b"\r\n", b"1e999", b"\xdd\xff\xff\xff\xff", b"\x9b" + b"\x7f" * 8, b"\x5b" + b"\xff" * 8]
INTERESTING += [b"\x50\x2a\x4d\x18\x04\0\0\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"]  # frames of compressors
INTERESTING += [b"1" * 4400, *(byte * 1500 for byte in (b"[", b"1", b"\x91", b"\x81", b"\xc1", b"\xdc\xff\xff"))]


def mutate(rng: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """Return one of *seeds*, changed in up to four places."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(5)):
        start = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[start : start + 1] = rng.randbytes(1)
            case 1:
                del data[start : start + rng.randrange(8)]
            case 2:
                data[start:start] = INTERESTING[int(len(INTERESTING) * rng.random() ** 3)]
            case 3:
                data[start:start] = rng.randbytes(rng.randrange(8))
            case 4:
                data[start:start] = rng.choice(seeds)
            case _:
                data[start : start + 8] = bytes(reversed(data[start : start + 8]))
    return bytes(data)
