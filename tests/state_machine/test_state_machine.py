"""Random programs over connections to one server, on every event loop. A model says what each step may do.

When a program fails, hypothesis shows the shortest one that it finds. `replay` runs it again.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from tests.conftest import Runner
from tests.state_machine.machine import CLIENT, RULES, SERVER, Machine, Program, Step
from tests.support.leftovers import nothing_left

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient

EVERY_BACKEND = True

SEED = 19
PROGRAMS = 60
STEPS = 60
"""Together 20,000 steps, on three event loops, with and without TLS."""

steps = st.builds(
    Step,
    st.sampled_from([rule for rule, weight in RULES.items() for _ in range(weight)]),
    st.integers(0, Machine.SLOTS - 1),
    st.sampled_from([CLIENT, SERVER]),
    st.integers(0, 3),
)
programs = st.lists(steps, min_size=STEPS, max_size=STEPS)


def replay(runner: Runner, program: Program, *, is_tls: bool) -> None:
    """Run *program*, and check that it leaves nothing behind."""
    trace: Program = []

    async def run() -> None:
        async with nothing_left(), Machine.running(runner.backend, is_tls=is_tls) as machine:
            machine.trace = trace
            await machine.run(program)

    try:
        runner.backend.bootstrap(run, runner_options=runner.options)
    except BaseException as exc:
        exc.add_note(f"The failing step is the last of these {len(trace)}, or the end: {trace}")
        raise


def check_programs(runner: Runner, number: int, *, seeded: int, is_tls: bool, caplog: pytest.LogCaptureFixture) -> None:
    @seed(seeded)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(programs)
    def check(program: Program) -> None:
        note(f"The seed is {seeded}.")
        caplog.clear()
        replay(runner, program, is_tls=is_tls)
        errors: list[Any] = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert errors == []

    check()


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_random_programs(runner: Runner, is_tls: bool, caplog: pytest.LogCaptureFixture) -> None:
    check_programs(runner, PROGRAMS, seeded=SEED, is_tls=is_tls, caplog=caplog)


def test_a_client_that_loses_packets_is_found(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forgetful(self: AsyncTCPNetworkClient[Any, Any]) -> Any:
        packet = await receive(self)
        await self.backend().coro_yield()  # a cancellation here loses the packet
        return packet

    receive = AsyncTCPNetworkClient.recv_packet
    monkeypatch.setattr(AsyncTCPNetworkClient, "recv_packet", forgetful)
    cancelled = [Step("race", 0, CLIENT, variant) for variant in range(4)]
    with pytest.raises(BaseException) as caught:  # or a group of it
        replay(runner, [Step("receive", 0, CLIENT, 1), *cancelled * 5, Step("receive", 0, CLIENT, 0)], is_tls=False)
    assert "comes next" in "".join(traceback.format_exception(caught.value))


@pytest.mark.soak
@pytest.mark.parametrize("seeded", range(SEED + 1, SEED + 11))
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_more_random_programs(runner: Runner, is_tls: bool, seeded: int, caplog: pytest.LogCaptureFixture) -> None:
    check_programs(runner, 10 * PROGRAMS, seeded=seeded, is_tls=is_tls, caplog=caplog)
