"""TCP connections on asyncio's event loops: what is not the same as on trio."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import importlib, os, socket, sys
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

backend = new_builtin_backend("asyncio")

async def main():
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with await backend.create_tcp_connection(*server.getsockname()):
            print(len(os.listdir("/proc/self/task")))

backend.bootstrap(main, runner_options={"loop_factory": importlib.import_module(sys.argv[1]).new_event_loop})
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
def test_process_that_connects_to_a_numeric_host_keeps_one_thread(library: str) -> None:
    pytest.importorskip(library)
    command = [sys.executable, "-c", _PROGRAM, library]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "1\n"
