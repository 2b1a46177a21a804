"""A process that serves or connects stays without further threads: these would make all its system calls slower."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import importlib, os, socket, sys
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

loop, job, path = sys.argv[1:]
backend = new_builtin_backend("asyncio")

async def main():
    match job:
        case "tcp client":
            server = socket.create_server(("127.0.0.1", 0))
            opened = [server, await backend.create_tcp_connection(*server.getsockname())]
        case "tcp server":
            opened = await backend.create_tcp_listeners("127.0.0.1", 0, 10)
        case "unix client":
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
            server.listen()
            opened = [server, await backend.create_unix_stream_connection(path, local_path=path + "-client")]
        case "unix server":
            opened = [await backend.create_unix_stream_listener(path, 10)]
    print(len(os.listdir("/proc/self/task")))
    for thing in opened:
        thing.close() if thing is opened[0] and job.endswith("client") else await thing.aclose()

backend.bootstrap(main, runner_options={"loop_factory": importlib.import_module(loop).new_event_loop})
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("job", ["tcp client", "tcp server", "unix client", "unix server"])
def test_no_thread_is_started(job: str, loop: str, tmp_path: Path) -> None:
    pytest.importorskip(loop)
    command = [sys.executable, "-c", _PROGRAM, loop, job, str(tmp_path / "socket")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")
