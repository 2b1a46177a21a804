from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from easynetwork._acceleration import describe
from easynetwork.cli.demo import run as run_module
from easynetwork.cli.demo.server_process import running_server
from easynetwork.cli.demo.transports import TCPTransport
from easynetwork.cli.demo.workload import Workload
from easynetwork.cli.errors import CommandError
from easynetwork.cli.loops import event_loops
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

COMMAND = [sys.executable, "-m", "easynetwork", "demo"]
ENDLESS = [*COMMAND, "--packets", "10000000"]
SECONDS_TO_END = 30.0


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a zombie has ended; its parent has yet to notice


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + SECONDS_TO_END
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} is still running"
        time.sleep(0.02)


@contextmanager
def running_demo(command: list[str], **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process of a demo whose server is up, and the pid of that server."""
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            assert demo.stdout is not None
            found = re.search(r"process (\d+)", demo.stdout.readline())
            assert found is not None
            yield demo, int(found[1])
        finally:
            demo.kill()


@pytest.mark.parametrize("loop", event_loops())
@pytest.mark.parametrize("options", [["--connections", "3"], ["--in-flight", "1", "--payload", "70000"]])
def test_a_run_checks_all_answers_and_ends_with_a_table(loop: str, options: list[str]) -> None:
    command = [*COMMAND, "--packets", "300", "--loop", loop, *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False)
    assert result.stderr == ""
    assert result.returncode == 0
    first, *_, header, figures, verdict = result.stdout.splitlines()
    assert first.startswith(f"TCP server on {loop} ({describe()}), process ")
    assert header.split() == ["Transport", "Loop", "Packets", "Packets/s", "p50", "p99", "Server", "CPU/packet"]
    assert figures.split()[:3] == ["TCP", loop, "300"]
    assert verdict == "TCP: all 300 packets were answered once, unaltered and in order."


def test_without_a_choice_the_fastest_loop_is_used() -> None:
    output = subprocess.check_output([*COMMAND, "--packets", "10"], text=True, timeout=SECONDS_TO_END)
    assert output.startswith(f"TCP server on {next(iter(event_loops()))} (")


ROWS = {"tcp": "TCP", "tls": "TLS", "udp": "UDP", "unix": "Unix", "unix-datagram": "Unix datagrams"}


@pytest.mark.parametrize("client", ["async", "blocking"])
@pytest.mark.parametrize("transport", ROWS)
def test_every_transport_works_with_every_kind_of_client(transport: str, client: str) -> None:
    command = [*COMMAND, "--packets", "60", "--connections", "3", "--transport", transport, "--client", client]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_END, check=False)
    assert result.stderr == ""
    assert result.returncode == 0
    name = ROWS[transport] + (", blocking clients" if client == "blocking" else "")
    *_, figures, verdict = result.stdout.splitlines()
    assert figures.startswith(f"{name}  ")
    assert verdict == f"{name}: all 60 packets were answered once, unaltered and in order."


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_statistics_are_shown_to_the_end(transport: str) -> None:
    command = [*COMMAND, "--statistics", "--packets", "2000", "--transport", transport]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_TO_END, check=True)
    lines = [line for line in result.stdout.splitlines() if line.startswith("  statistics: ")]
    assert "2,000 packets in, 2,000 out" in lines[-1]


def test_several_transports_make_a_table_with_a_row_for_each() -> None:
    command = [*COMMAND, "--packets", "20", "--connections", "2", "--transport", "unix,tcp,unix"]
    lines = subprocess.check_output(command, text=True, timeout=SECONDS_TO_END).splitlines()
    assert [line.split()[0] for line in lines[-4:]] == ["Unix", "TCP", "Unix:", "TCP:"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--transport", "udp", "--payload", "65001"], "at most 65,000 B with udp"),
        (["--transport", "tcp,unix-datagram", "--payload", "65001"], "at most 65,000 B with unix-datagram"),
        (["--client", "blocking", "--connections", "1001"], "at most 1,000 connections"),
    ],
)
def test_options_that_do_not_go_together_are_one_line_and_status_2(options: list[str], complaint: str) -> None:
    result = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=SECONDS_TO_END, check=False)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("easynetwork: error: ")
    assert complaint in result.stderr


def test_tls_without_trustme_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "trustme.py").write_text("raise ImportError('not installed')")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    result = subprocess.run(
        [*COMMAND, "--transport", "tls"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_END,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "pip install 'easynetwork-uvloop[cli]'" in result.stderr


@pytest.mark.parametrize("client", ["async", "blocking"])
@pytest.mark.parametrize("loop", event_loops())
def test_ctrl_c_ends_the_demo_in_one_line_and_its_server_too(loop: str, client: str) -> None:
    with running_demo([*ENDLESS, "--loop", loop, "--client", client]) as (demo, server):
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: to all processes of the foreground
        _, errors = demo.communicate(timeout=SECONDS_TO_END)
        assert demo.returncode == 130
        assert errors == "easynetwork: interrupted\n"
        assert not is_running(server)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_neither_the_server_nor_a_folder_outlives_a_demo_that_a_signal_ends(
    number: int, transport: str, tmp_path: Path
) -> None:
    with running_demo([*ENDLESS, "--transport", transport], TMPDIR=str(tmp_path)) as (demo, server):
        assert [folder.name[:17] for folder in tmp_path.iterdir()] == ["easynetwork-demo-"]
        demo.send_signal(number)
        wait_for_end(server)
        demo.wait(SECONDS_TO_END)
    assert list(tmp_path.iterdir()) == []


def test_several_transports_share_a_folder_which_is_removed(tmp_path: Path) -> None:
    command = [*COMMAND, "--packets", "20", "--connections", "2", "--transport", "tls,tcp,tls"]
    subprocess.run(command, env={**os.environ, "TMPDIR": str(tmp_path)}, timeout=SECONDS_TO_END, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loop", event_loops())
def test_a_server_that_dies_is_one_line_and_status_1(loop: str) -> None:
    with running_demo([*ENDLESS, "--loop", loop]) as (demo, server):
        os.kill(server, signal.SIGKILL)
        _, errors = demo.communicate(timeout=SECONDS_TO_END)
        assert demo.returncode == 1
        assert errors == "easynetwork: error: the server process ended with status -9\n"


def test_the_server_is_ended_when_nobody_reads_the_output_any_more() -> None:
    with running_demo([*COMMAND, "--packets", "2000"]) as (demo, server):
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.close()
        assert demo.stderr.read() == ""
        assert demo.wait(SECONDS_TO_END) == 1
        assert not is_running(server)


class AlteringServer(AsyncStreamRequestHandler[Any, Any]):
    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        while True:
            packet = yield
            await client.send_packet({**packet, "payload": "something else"})


class FakeServerProcess:
    """A server in this process that alters everything."""

    pid = 0

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    async def cpu_seconds(self) -> float:
        return 0.0


@asynccontextmanager
async def altering_server(
    transport: str, loop: str, frame_limit: int, folder: Path, measure: Sequence[str]
) -> AsyncIterator[FakeServerProcess]:
    tcp = TCPTransport(folder)
    async with tcp.server(tcp.protocol(frame_limit), AlteringServer()) as server:
        task = asyncio.create_task(server.serve_forever())
        yield FakeServerProcess(tcp.address(server))
        task.cancel()
        await asyncio.wait({task})


def test_wrong_answers_make_the_exit_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_module, "running_server", altering_server)
    assert run_module.run({"tcp": Workload(connections=2, packets=20, in_flight=4, payload=10)}, loop=None) == 1
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict == "TCP: of 20 packets 0 lost, 0 doubled, 20 altered, 0 reordered"


async def test_a_server_that_does_not_start_is_one_clear_error(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="status 1"):
        async with running_server("tcp", "no such loop", 65536, tmp_path):
            pass


async def test_the_server_process_tells_the_cpu_time_it_has_used(tmp_path: Path) -> None:
    async with running_server("tcp", "asyncio", 65536, tmp_path) as server:
        before = await server.cpu_seconds()
        assert before > 0
        assert await server.cpu_seconds() >= before
        assert is_running(server.pid)
    assert not is_running(server.pid)
