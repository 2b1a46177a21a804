"""The serializers on the pages about framings and serializers work in streams. test_pages.py runs the programs."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import HOW_TO, marked_blocks
from tests.support.serializer_drivers import pieces, receive, receive_buffered, send


def definitions_of(page: str, program: str, folder: Path) -> dict[str, Any]:
    """Return what a program defines when it is imported."""
    file = folder / program
    file.write_text(marked_blocks(HOW_TO / page, "file")[program])
    return runpy.run_path(str(file), run_name="examples")


SERIALIZERS: dict[tuple[str, str, str], list[Any]] = {
    ("framings.md", "words.py", "WordsSerializer"): [["hello", "world"], ["again"]],
    ("framings.md", "points.py", "PointSerializer"): [(1, 2), (-3, 4)],
    ("framings.md", "netstrings.py", "NetstringSerializer"): [b"abc", b"", b"x" * 200],
    ("framings.md", "chunks.py", "ChunkSerializer"): [b"abc", b"x" * 300],
    ("framings.md", "modbus.py", "ModbusSerializer"): [bytes.fromhex("150100000006ff0300040001")] * 2,
    ("framings.md", "memcached.py", "MemcachedSerializer"): [
        (b"set key 0 60 3", b"abc"),
        (b"get key", b""),
        (b"set none 0 0 0", b""),
    ],
    ("framings.md", "messages.py", "MessageSerializer"): [b"\x01a", b"\x02abcdefgh", b"\x01b"],
    ("custom-serializers.md", "key_values.py", "KeyValueSerializer"): [{"name": "Ada", "year": "1815"}, {"a": ""}],
}
"""Packets for each serializer, which is a class in a program of a page."""


@pytest.mark.parametrize(("page", "program", "name"), SERIALIZERS, ids=[name for _, _, name in SERIALIZERS])
def test_serializers_of_the_pages_work_in_streams(page: str, program: str, name: str, tmp_path: Path) -> None:
    defined = definitions_of(page, program, tmp_path)
    packets = SERIALIZERS[page, program, name]
    if "Point" in defined:
        packets = [defined["Point"](*packet) for packet in packets]
    serializer = defined[name]()
    for size in (1, 3, 1000):
        chunks = pieces(send(serializer, packets), size)
        assert receive(serializer, chunks) == packets
        if name != "ChunkSerializer":
            assert receive_buffered(serializer, chunks) == packets
