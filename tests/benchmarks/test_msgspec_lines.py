from __future__ import annotations

import socket
import sys

import pytest

from benchmarks.msgspec_lines import LINE, WAYS, main
from benchmarks.peers import our_interpreter
from benchmarks.process import ProgramProcess


@pytest.mark.parametrize("way", WAYS)
def test_all_servers_give_the_same_answers(way: str) -> None:
    options = ["--loop", "uvloop", "--way", way]
    interpreter = our_interpreter(sys.executable)
    sent = LINE * 3 + b'{"type":"question","sensor":"a"}\n'
    with ProgramProcess("benchmarks.servers.msgspec_lines", options, interpreter, transport="tcp") as server:
        for pieces in ([sent], [sent[:40], sent[40:]]):
            with socket.create_connection(("127.0.0.1", int(server.address)), timeout=5) as client:
                for piece in pieces:
                    client.sendall(piece)
                received = b""
                while len(received) < len(sent):
                    received += client.recv(1000)
                assert received == sent
        with socket.create_connection(("127.0.0.1", int(server.address)), timeout=5) as client:
            client.sendall(LINE + b'{"type":"answer"}\n')
            received = b""
            while piece := client.recv(1000):
                received += piece
            assert received == LINE


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--packets", "1000"]) in (0, 1)  # whether the bar is met depends on the machine
    assert "| 16 in flight " in capsys.readouterr().out
