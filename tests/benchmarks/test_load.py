from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.catalogue import LOOPS, SERVERS, Server, Workload
from benchmarks.load import EchoLoad, connect, exchange, make_lines
from benchmarks.memory import measure_memory
from benchmarks.peers import Interpreter, our_interpreter
from benchmarks.process import ServerError, ServerProcess
from benchmarks.progress import Progress
from benchmarks.results import Results
from benchmarks.rounds import Candidate, Cores, Timing, run_rounds

SMALL = Workload("4x50", "4 in flight, 50 B", 4, 50)
LARGE = Workload("16x64k", "16 in flight, 64 KiB", 16, 65536)


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    return our_interpreter(sys.executable)


@contextmanager
def answering(answer: Callable[[bytes, int], bytes]) -> Iterator[int]:
    """A server that answers each read of its one connection with what *answer* makes of it and of the bytes so far."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            total = 0
            while data := connection.recv(65536):
                total += len(data)
                answered = answer(data, total)
                if not answered:
                    return
                connection.sendall(answered)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive()


def test_lines_have_their_length_and_no_two_are_alike() -> None:
    lines = [line for seed in range(8) for line in make_lines(100, 16, seed=seed).splitlines(keepends=True)]
    assert {len(line) for line in lines} == {100}
    assert len(set(lines)) == 8 * 16


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("server", ["protocol", "protocol-batch", "streams"])
def test_a_round_counts_the_answers_of_a_real_server(server: str, loop: str, interpreter: Interpreter) -> None:
    results = Results({}, {})
    candidate = Candidate(SERVERS[server], loop, interpreter)
    timing = Timing(rounds=1, warmup=0.01, window=0.1)
    run_rounds([candidate], {"4x50": SMALL}, timing, Cores(None, None), results, seed=1, progress=Progress())
    assert results.failures == []
    [sample] = results.samples
    assert sample.messages > 0
    assert sample.seconds >= 0.1
    assert sample.cpu_seconds > 0
    assert 0 < sample.p50_us <= sample.p99_us


def test_batches_larger_than_the_socket_buffers_are_answered_whole(interpreter: Interpreter) -> None:
    with ServerProcess(SERVERS["protocol"], "asyncio", interpreter) as process:
        with EchoLoad(process.port, LARGE, connections=2) as load:
            window = load.run(0.1)
    assert window.messages > 0


def test_a_server_that_cannot_start_is_reported_and_the_others_are_measured(interpreter: Interpreter) -> None:
    results = Results({}, {})
    broken = Candidate(Server("streams", "broken", "streams", ("--no-such-option",)), "asyncio", interpreter)
    sound = Candidate(SERVERS["protocol"], "asyncio", interpreter)
    timing = Timing(rounds=2, warmup=0.01, window=0.1)
    run_rounds([broken, sound], {"4x50": SMALL}, timing, Cores(None, None), results, seed=1, progress=Progress())
    [failure] = results.failures
    assert "--no-such-option" in failure.reason
    assert [(sample.server, sample.round) for sample in results.samples] == [("protocol", 1), ("protocol", 2)]


def test_a_server_stops_when_it_is_told_to(interpreter: Interpreter) -> None:
    process = ServerProcess(SERVERS["streams"], "asyncio", interpreter)
    process.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(process.port)


def test_an_altered_answer_is_refused() -> None:
    with answering(lambda data, _: data.swapcase()) as port:
        with pytest.raises(ServerError, match="differs"):
            EchoLoad(port, SMALL, connections=1)


def test_an_answer_too_many_is_refused() -> None:
    checked = SMALL.depth * SMALL.frame
    with answering(lambda data, total: data if total <= checked else data + data) as port:
        with pytest.raises(ServerError, match="more bytes"):
            with EchoLoad(port, SMALL, connections=1) as load:
                load.run(5.0)


def test_a_connection_closed_under_load_is_an_error() -> None:
    with answering(lambda data, total: data if total < 2000 else b"") as port:
        with pytest.raises((ServerError, ConnectionError)):
            with EchoLoad(port, SMALL, connections=1) as load:
                load.run(5.0)


def test_an_answer_that_does_not_come_is_an_error() -> None:
    with answering(lambda data, _: data[:-1]) as port:
        with connect(port) as sock, pytest.raises(ServerError, match="49 of 50"):
            exchange(sock, make_lines(50, 1, seed=0), timeout=0.1)


def test_memory_of_idle_connections_is_what_they_add_to_the_server(interpreter: Interpreter) -> None:
    measured = measure_memory(Candidate(SERVERS["streams"], "asyncio", interpreter), 200, None)
    # A StreamReader, a StreamWriter, a protocol, a transport and a Task: kilobytes, and not hundreds of them.
    assert 1 < measured.silent_kib < 50
    assert 1 < measured.used_kib < 50
