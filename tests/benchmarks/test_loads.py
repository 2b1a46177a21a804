from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.candidates import Candidate
from benchmarks.catalogue import GROUPS, Program, Workload
from benchmarks.loads.connections import ConnectionLoad
from benchmarks.loads.echo import EchoLoad
from benchmarks.loads.lines import make_lines
from benchmarks.loads.sockets import dial, exchange
from benchmarks.peers import Interpreter
from benchmarks.process import ProgramError
from benchmarks.progress import Progress
from benchmarks.results import Results
from benchmarks.rounds import Timing, run_rounds

from .support import NO_CORES, answering, candidate, one_round

SMALL = Workload("4x50", "4 in flight, 50 B", 4, 50, connections=4)
CONNECT = Workload("connect", "connect, 50 B, close", 1, 50, load="connections", connections=4)
ALONE = replace(SMALL, connections=1)
LARGE = Workload("16x64k", "16 in flight, 64 KiB", 16, 65536, connections=2)


def check_one_round(measured: Candidate, workload: Workload) -> None:
    """That a round counts the answers of a real program."""
    results = one_round(measured, workload)
    assert results.failures == []
    [sample] = results.samples
    assert sample.messages > 0
    assert sample.seconds >= 0.1
    assert sample.cpu_seconds > 0
    assert sample.p50_us is not None
    assert sample.p99_us is not None
    assert 0 < sample.p50_us <= sample.p99_us


def test_lines_have_their_length_and_no_two_are_alike() -> None:
    lines = [line for seed in range(8) for line in make_lines(100, 16, seed=seed).splitlines(keepends=True)]
    assert {len(line) for line in lines} == {100}
    assert len(set(lines)) == 8 * 16


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    "key",
    [
        "tcp/protocol",
        "tcp/protocol-batch",
        "tcp/streams",
        "tls/protocol",
        "tls/streams",
        "unix/protocol",
        "unix/streams",
    ],
)
def test_a_round_counts_the_answers_of_a_real_server(key: str, loop: str, interpreter: Interpreter) -> None:
    check_one_round(candidate(key, loop, interpreter), SMALL)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_round_counts_the_datagrams_of_a_real_server(loop: str, interpreter: Interpreter) -> None:
    check_one_round(candidate("udp/protocol", loop, interpreter), replace(SMALL, depth=1))


@pytest.mark.parametrize(
    ("key", "loop", "module"),
    [
        ("tcp/anyio", "uvloop", "anyio"),
        ("tcp/anyio", "asyncio", "anyio"),
        ("trio/anyio", "trio", "anyio"),
        ("tcp/twisted", "uvloop", "twisted"),
        ("tls/protocol-aiofastnet", "uvloop", "aiofastnet"),
    ],
)
def test_a_round_counts_the_answers_of_another_library(
    key: str, loop: str, module: str, interpreter: Interpreter
) -> None:
    pytest.importorskip(module)  # those of the extra "benchmarks" need not be there
    check_one_round(candidate(key, loop, interpreter), SMALL)


@pytest.mark.parametrize("workload", GROUPS["udp"].workloads, ids=lambda workload: workload.name)
@pytest.mark.parametrize("program", ["protocol", "anyio"])
def test_a_round_counts_the_datagrams_of_few_and_many_sockets(
    program: str, workload: Workload, interpreter: Interpreter
) -> None:
    check_one_round(candidate(f"udp/{program}", "uvloop", interpreter), workload)


def test_a_round_counts_the_answers_of_a_real_server_on_trio(interpreter: Interpreter) -> None:
    check_one_round(candidate("trio/loop", "trio", interpreter), SMALL)


def test_a_round_counts_the_connections_of_a_real_server(interpreter: Interpreter) -> None:
    check_one_round(candidate("connect/protocol", "uvloop", interpreter), CONNECT)


@pytest.mark.parametrize("workload", GROUPS["clients"].workloads, ids=lambda workload: workload.name)
@pytest.mark.parametrize(("key", "loop"), [("clients/streams", "uvloop"), ("blocking/socket", "blocking")])
def test_a_round_counts_the_packets_of_a_real_client(
    key: str, loop: str, workload: Workload, interpreter: Interpreter
) -> None:
    results = one_round(candidate(key, loop, interpreter), replace(workload, depth=100))
    assert results.failures == []
    [sample] = results.samples
    assert sample.messages >= 100
    assert sample.cpu_seconds > 0
    assert sample.p50_us is None


@pytest.mark.parametrize("program", ["protocol", "ours-bare"])
@pytest.mark.parametrize("group", ["bulk-sink", "bulk-echo"])
def test_a_round_counts_the_large_packets_of_a_real_server(group: str, program: str, interpreter: Interpreter) -> None:
    [workload] = GROUPS[group].workloads
    check_one_round(candidate(f"{group}/{program}", "uvloop", interpreter), replace(workload, connections=1))


@pytest.mark.parametrize("key", ["tcp/protocol", "tls/protocol", "unix/protocol"])
def test_batches_larger_than_the_socket_buffers_are_answered_whole(key: str, interpreter: Interpreter) -> None:
    check_one_round(candidate(key, "asyncio", interpreter), LARGE)


def test_a_program_that_cannot_start_is_reported_and_the_others_are_measured(interpreter: Interpreter) -> None:
    results = Results({}, {})
    sound = candidate("tcp/protocol", "asyncio", interpreter)
    broken = replace(sound, program=Program("streams", "broken", "servers.streams", ("--no-such-option",)))
    timing = Timing(rounds=2, warmup=0.01, window=0.1)
    run_rounds([broken, sound], ["1x100"], timing, NO_CORES, results, seed=1, progress=Progress())
    [failure] = results.failures
    assert failure.program == "tcp/streams"
    assert "--no-such-option" in failure.reason
    assert [(sample.program, sample.round) for sample in results.samples] == [("tcp/protocol", 1), ("tcp/protocol", 2)]


def test_a_server_stops_when_it_is_told_to(interpreter: Interpreter) -> None:
    process = candidate("tcp/streams", "asyncio", interpreter).start(None)
    process.stop()
    with pytest.raises(ConnectionRefusedError):
        dial("tcp", process.address)


def test_an_altered_answer_is_refused() -> None:
    with answering(lambda data, _: data.swapcase()) as process:
        with pytest.raises(ProgramError, match="differs"):
            EchoLoad(process, ALONE)


def test_an_answer_may_be_shorter_than_what_it_answers() -> None:
    with answering(lambda data, _: b"".join(line[:8] for line in data.splitlines())) as process:
        with EchoLoad(process, replace(ALONE, answer=8)) as load:
            assert load.run(0.05).messages > 0


def test_an_answer_too_many_is_refused() -> None:
    checked = ALONE.depth * ALONE.frame
    with answering(lambda data, total: data if total <= checked else data + data) as process:
        with pytest.raises(ProgramError, match="more bytes"):
            with EchoLoad(process, ALONE) as load:
                load.run(5.0)


def test_a_connection_closed_under_load_is_an_error() -> None:
    with answering(lambda data, total: data if total < 2000 else b"") as process:
        with pytest.raises((ProgramError, ConnectionError)):
            with EchoLoad(process, ALONE) as load:
                load.run(5.0)


def test_an_answer_that_does_not_come_is_an_error() -> None:
    with answering(lambda data, _: data[:-1]) as process:
        sock = dial("tcp", process.address)
        with pytest.raises(ProgramError, match="49 of 50"):
            exchange(sock, make_lines(50, 1, seed=0), timeout=0.1)
        sock.close()


def test_a_connection_with_another_answer_is_refused() -> None:
    with answering(lambda data, _: data.swapcase()) as process:
        with pytest.raises(ProgramError, match="differs"):
            with ConnectionLoad(process, replace(CONNECT, connections=1)) as load:
                load.run(5.0)
