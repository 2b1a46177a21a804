"""A server that is the first process of a container, as process 1 of a namespace of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import HOW_TO, marked_blocks
from tests.support.programs import SECONDS_TO_END, needs_program, running

PROGRAM = marked_blocks(HOW_TO / "stopping.md", "file")["sigterm_server.py"]


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are of Linux")
def test_sigterm_drains_a_server_that_is_process_1(tmp_path: Path) -> None:
    unshare = needs_program("unshare")
    if os.geteuid() != 0 or subprocess.run([unshare, "--pid", "--fork", "true"], check=False).returncode:
        pytest.skip("this user may not make a namespace")
    (tmp_path / "server.py").write_text(
        PROGRAM.replace("9000", "0") + "    import os\n    print('process', os.getpid())\n"
    )
    command = [unshare, "--pid", "--fork", sys.executable, "-u", "server.py"]
    with running(command, tmp_path) as program:
        [found] = program.wait_for(r"Start serving at .*?, (\d+)\)")
        with socket.create_connection(("127.0.0.1", int(found[1])), SECONDS_TO_END) as client:
            client.sendall(b"0\n0.3\n")
            os.kill(child_of(program.process.pid), signal.SIGTERM)
            assert client.makefile("rb").read() == b"slept 0 s\nslept 0.3 s\n"
        assert program.process.wait(SECONDS_TO_END) == 0
        assert "process 1" in program.output
