"""Every listener passes the same checks, on every event loop."""

from __future__ import annotations

from functools import partial

from tests.conformance.harnesses.proxied import ProxiedListenerHarness
from tests.conformance.harnesses.tcp import TCPListenerHarness
from tests.conformance.harnesses.tls import TLSListenerHarness
from tests.conformance.harnesses.unix_stream import UnixStreamListenerHarness
from tests.conformance.kit.cases import conformance_cases
from tests.conformance.kit.checks import Check
from tests.conformance.kit.harness import ListenerHarness
from tests.conformance.kit.listener import LISTENER_CHECKS, ListenerStage
from tests.conformance.kit.runner import Runner, asyncio_runners, trio_runners
from tests.conformance.kit.stage import set_stage

ALL = asyncio_runners() + trio_runners()

SUBJECTS = [
    (TCPListenerHarness(), ALL),
    (UnixStreamListenerHarness(), ALL),
    (TLSListenerHarness(TCPListenerHarness()), ALL),
    (ProxiedListenerHarness(TCPListenerHarness()), ALL),
    (TLSListenerHarness(ProxiedListenerHarness(TCPListenerHarness())), ALL),
]


@conformance_cases(LISTENER_CHECKS, SUBJECTS)
def test_listener(runner: Runner, harness: ListenerHarness, check: Check[ListenerStage]) -> None:
    runner.run(partial(set_stage, ListenerStage, harness), check)
