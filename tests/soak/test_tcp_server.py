"""`pytest -m soak`: a full server with 1,000 connections, most of which misbehave, for a minute."""

from __future__ import annotations

import os
import re
import sys

import pytest
from tests.soak.load import Findings, put_under_load
from tests.soak.program import best_loop

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
"""How long there is mischief, in each test."""

CONNECTIONS = int(os.environ.get("SOAK_CONNECTIONS", "1000"))
LOOP = os.environ.get("SOAK_LOOP", best_loop())
SEED = os.environ.get("SOAK_SEED", "20")

ROUNDS = 6

MARGIN = 4 << 20
"""Bytes by which the memory of the server may grow while the crowd comes and goes, again and again."""

FIRST_TIME = 24 << 20
"""Bytes that it may keep after the first client ever: code and tables that are needed again."""

BLOCKS = 500
"""Pieces of memory of Python objects that may be left after the last round more than after the first one."""

EXPECTED_RECORD = r"WARNING easynetwork\.servers\.async_tcp: .*: the TLS handshake failed: "
"""What a server with TLS logs of clients that speak no TLS."""


def assert_unharmed(findings: Findings, transport: str) -> None:
    """The server has survived, and kept nothing of the peers that have gone."""
    unexpected = [r for r in findings.records if transport == "tcp" or not re.match(EXPECTED_RECORD, r)]
    assert unexpected == []
    assert findings.errors == "no message"
    assert findings.left == {}
    assert findings.left_by_all == {}


@pytest.mark.soak
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_honest_clients_hardly_notice_a_misbehaving_crowd(transport: str, capsys: pytest.CaptureFixture[str]) -> None:
    honest = CONNECTIONS // 10
    findings = put_under_load(
        LOOP,
        transport,
        honest=honest,
        crowd=CONNECTIONS - honest,
        rounds=ROUNDS,
        seconds=SECONDS / ROUNDS,
        seed=SEED,
    )
    with capsys.disabled():
        sys.stdout.write(
            f"\n{transport} on {LOOP}, seed {SEED}, {CONNECTIONS:,} connections, {SECONDS:g} s: {findings}\n"
        )
    assert_unharmed(findings, transport)
    assert findings.resident[-1] - findings.resident[0] < MARGIN
    assert findings.alone[1] - findings.alone[0] < FIRST_TIME
    assert findings.blocks[-1] - findings.blocks[0] < BLOCKS
    assert findings.kept >= 0.8
    assert min(findings.slowest) > 0


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_short_soak_leaves_no_trace(transport: str) -> None:
    """So that the programs of the soak are known to work. One second says little about anything else."""
    findings = put_under_load(LOOP, transport, honest=4, crowd=30, rounds=1, seconds=0.1, seed=SEED)
    assert_unharmed(findings, transport)
    assert sum(findings.mischief.values()) > 0
