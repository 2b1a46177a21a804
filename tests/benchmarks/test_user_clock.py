from __future__ import annotations

import pytest

from benchmarks import user_clock as module
from benchmarks.catalogue import GROUPS
from benchmarks.loads.echo import EchoLoad
from benchmarks.peers import Interpreter
from benchmarks.process import ProgramProcess
from benchmarks.user_clock import user_clock

from .support import candidate

ALONE = GROUPS["udp"].workloads[0]


def user_and_cpu_seconds(process: ProgramProcess) -> tuple[float, float]:
    """What a load costs the program, by `user_clock` and in all."""
    with EchoLoad(process, ALONE) as load, user_clock(process, 1000) as user:
        before, user_before = process.cpu_seconds(), user()
        load.run(0.3)
        return user() - user_before, process.cpu_seconds() - before


def test_user_cpu_is_a_part_of_all_cpu(interpreter: Interpreter) -> None:
    with candidate("udp/anyio", "asyncio", interpreter).start(None) as process:
        user, cpu = user_and_cpu_seconds(process)
    assert 0 < user < cpu


def test_an_idle_program_uses_no_user_cpu(interpreter: Interpreter) -> None:
    with candidate("udp/protocol", "asyncio", interpreter).start(None) as process, user_clock(process, 1000) as user:
        assert user() == user()


def test_the_estimate_of_the_kernel_serves_where_sampling_is_not_allowed(
    interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SYSCALLS", {})
    with candidate("udp/protocol", "asyncio", interpreter).start(None) as process:
        with user_clock(process, 1000) as user:
            assert user == process.user_seconds
            assert user() > 0
