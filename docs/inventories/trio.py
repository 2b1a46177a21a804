"""Write trio.inv: the names of trio that the documentation links to, in the format that intersphinx reads.

Where there is a network, https://trio.readthedocs.io/en/stable/objects.inv is the complete one. python.inv is that of
https://docs.python.org/3.11/objects.inv.
"""

from __future__ import annotations

import zlib
from pathlib import Path

_PAGES = {
    "reference-core.html": [
        ("trio.run", "function"),
        ("trio.CancelScope", "class"),
        ("trio.Cancelled", "exception"),
        ("trio.Nursery", "class"),
        ("trio.fail_after", "function"),
        ("trio.move_on_after", "function"),
        ("trio.open_nursery", "function"),
        ("trio.sleep", "function"),
        ("trio.to_thread.run_sync", "function"),
    ],
    "reference-io.html": [
        ("trio.SSLStream", "class"),
        ("trio.SocketStream", "class"),
        ("trio.open_tcp_stream", "function"),
        ("trio.serve_tcp", "function"),
    ],
    "reference-lowlevel.html": [("trio.lowlevel.TrioToken", "class")],
}
_HEADER = """# Sphinx inventory version 2
# Project: Trio
# Version: 0.27
# The remainder of this file is compressed using zlib.
"""

if __name__ == "__main__":
    lines = [f"{name} py:{kind} 1 {page}#$ -\n" for page, names in _PAGES.items() for name, kind in names]
    Path(__file__).with_suffix(".inv").write_bytes(_HEADER.encode() + zlib.compress("".join(lines).encode(), 9))
