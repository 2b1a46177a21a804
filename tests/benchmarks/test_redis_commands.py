from __future__ import annotations

import shutil
import socket
import sys

import pytest

from benchmarks.peers import our_interpreter
from benchmarks.process import ProgramProcess
from benchmarks.redis_commands import WAYS, main

COMMANDS = (
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n"
    b"*2\r\n$3\r\nget\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$4\r\nnone\r\nPING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nNOPE\r\n"
)
REPLIES = b"+OK\r\n$4\r\na\r\nb\r\n$-1\r\n+PONG\r\n+PONG\r\n-ERR unknown command 'NOPE', with args beginning with: \r\n"


@pytest.mark.parametrize("way", WAYS)
def test_all_servers_give_the_same_replies(way: str) -> None:
    options = ["--loop", "uvloop", "--way", way]
    with ProgramProcess(
        "benchmarks.servers.redis", options, our_interpreter(sys.executable), transport="tcp"
    ) as server:
        for pieces in ([COMMANDS], [COMMANDS[:40], COMMANDS[40:]]):
            with socket.create_connection(("127.0.0.1", int(server.address)), timeout=5) as client:
                for piece in pieces:
                    client.sendall(piece)
                received = b""
                while len(received) < len(REPLIES):
                    received += client.recv(1000)
                assert received == REPLIES


@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="redis-benchmark is not installed")
def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--requests", "1000"]) == 0
    assert "| set, 16 in flight " in capsys.readouterr().out
