"""The program about signals in docs/how-to/stopping.md stops a server as it says."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from tests.docs.pages import HOW_TO, marked_blocks
from tests.support.programs import SECONDS_TO_END, started

PROGRAM = marked_blocks(HOW_TO / "stopping.md", "file")["sigterm_server.py"]


@pytest.mark.parametrize("ignoring_sigint", [False, True], ids=["foreground", "background"])
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signals_stop_a_server_in_good_order_with_idle_and_busy_clients(
    signal_number: signal.Signals, ignoring_sigint: bool, tmp_path: Path
) -> None:
    assert PROGRAM.count("9000") == 1
    (tmp_path / "sigterm_server.py").write_text(PROGRAM.replace("9000", "0"))
    with started(["sigterm_server.py"], tmp_path, ignoring_sigint=ignoring_sigint) as (process, address):
        port = int(address.rpartition(", ")[2].rstrip(")"))
        connections = [socket.create_connection(("127.0.0.1", port), SECONDS_TO_END) for _ in range(3)]
        idle, used, busy = connections
        try:
            used.sendall(b"0\n")
            assert used.recv(1024) == b"slept 0 s\n"
            busy.sendall(b"0\n0.5\n0\n")
            assert busy.recv(1024) == b"slept 0 s\n"  # and the next request is being handled
            process.send_signal(signal_number)
            for connection in (idle, used):
                assert connection.recv(1024) == b""
                connection.close()
            assert busy.makefile("rb").read() == b"slept 0.5 s\nslept 0 s\n"
            busy.close()
            assert process.wait(SECONDS_TO_END) == 0
        finally:
            for connection in connections:
                connection.close()
    log = (tmp_path / "server.log").read_text()
    assert log.splitlines()[-1] == "INFO:root:stopped cleanly"
    assert "Traceback" not in log
