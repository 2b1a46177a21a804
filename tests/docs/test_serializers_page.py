from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.support.serializer_drivers import pieces, receive, receive_buffered, send

PAGE = Path(__file__).parents[2] / "docs" / "serializers.md"


def run_examples() -> dict[str, Any]:
    """Run all examples of the page, one after the other as a reader would; return what they have defined."""
    namespace: dict[str, Any] = {"__name__": "examples"}
    text = PAGE.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start(1))
        exec(compile("\n" * line + match[1], str(PAGE), "exec", dont_inherit=True), namespace)
    return namespace


def test_examples_run() -> None:
    assert "MessageSerializer" in run_examples()


def test_serializers_of_the_examples_work_in_streams() -> None:
    examples = run_examples()
    point = examples["Point"]
    for name, packets in {
        "WordsSerializer": [["hello", "world"], ["again"]],
        "PointSerializer": [point(1, 2), point(-3, 4)],
        "NetstringSerializer": [b"abc", b"", b"x" * 200],
        "ChunkSerializer": [b"abc", b"x" * 300],
        "ModbusSerializer": [bytes.fromhex("150100000006ff0300040001")] * 2,
        "MemcachedSerializer": [(b"set key 0 60 3", b"abc"), (b"get key", b""), (b"set none 0 0 0", b"")],
        "MessageSerializer": [b"\x01a", b"\x02abcdefgh", b"\x01b"],
    }.items():
        serializer = examples[name]()
        for size in (1, 3, 1000):
            chunks = pieces(send(serializer, packets), size)
            assert receive(serializer, chunks) == packets
            if name != "ChunkSerializer":
                assert receive_buffered(serializer, chunks) == packets
