"""The services in docs/how-to run as services: with valid units, with sockets of their units, and with a manager."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import HOW_TO, marked_blocks
from tests.support.programs import needs_program, running
from tests.support.sockets import PATIENCE, unused_address

PROGRAM = marked_blocks(HOW_TO / "socket-activation.md", "file")["echo_service.py"]
UNITS = {
    "deploying.md": {"echo.service"},
    "socket-activation.md": {"echo.socket", "echo.service"},
    "many-processes.md": {"workers.service", "worker@.service"},
}
"""The units on each page."""

_UNIT = re.compile(r"`/etc/systemd/system/([\w@]+\.\w+)`:\n\n```ini\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", UNITS)
def test_the_units_are_valid(page: str, tmp_path: Path) -> None:
    units = dict(_UNIT.findall((HOW_TO / page).read_text()))
    assert set(units) == UNITS[page]
    analyze = needs_program("systemd-analyze")
    for name, text in units.items():
        (tmp_path / name).write_text(text.replace("/usr/bin/python3", sys.executable))
    files = [str(tmp_path / name.replace("@.", "@1.")) for name in units]
    for name in units:
        if "@." in name:
            (tmp_path / name.replace("@.", "@1.")).symlink_to(name)
    result = subprocess.run(
        [analyze, "verify", "--man=no", *files], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    of_units = re.compile("|".join(re.escape(name).replace("@", "@1?") for name in units))
    assert [line for line in result.stderr.splitlines() if of_units.search(line)] == []


@pytest.mark.parametrize("name", [None, "another.socket"], ids=["taken", "of another name"])
def test_the_service_takes_its_socket_and_tells_the_manager(tmp_path: Path, name: str | None) -> None:
    launcher = needs_program("systemd-socket-activate")
    host, port = unused_address()
    _, own_port = unused_address()
    assert PROGRAM.count("9000") == 1
    (tmp_path / "echo_service.py").write_text(PROGRAM.replace("9000", str(own_port)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind(str(tmp_path / "notify"))
        environment = {"NOTIFY_SOCKET": manager.getsockname(), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        options = [f"--setenv={variable}={value}" for variable, value in environment.items()]
        command = [launcher, f"--listen={host}:{port}", f"--fdname={name or 'echo.socket'}", *options]
        with running([*command, sys.executable, "echo_service.py"], tmp_path) as program:
            program.wait_for("Listening on")
            with socket.create_connection((host, port), PATIENCE) as client:
                assert manager.recv(100) == b"READY=1"
                if name is None:
                    client.sendall(b"hello\n")
                    assert client.recv(100) == b"hello\n"
                program.wait_for(f"Start serving at .*{port if name is None else own_port}")
                program.process.send_signal(signal.SIGTERM)
                assert manager.recv(100) == b"STOPPING=1"
            assert program.process.wait(PATIENCE) == 0
