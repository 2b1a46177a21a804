"""Counting the descriptors that are left."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.support.descriptors import all_closed

from easynetwork.lowlevel._sockets.descriptors import DescriptorCounter

resource = pytest.importorskip("resource")

COUNT = """
import os, resource, sys
from easynetwork.lowlevel._sockets.descriptors import DescriptorCounter

counter = DescriptorCounter(10)
descriptors = [os.dup(0) for _ in range(30)]  # the first is the lowest free number
limit = descriptors[0] + 30
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
counts = [counter.count_free()]
while descriptors:
    os.close(descriptors.pop({position}))
    counts.append(counter.count_free())
resource.setrlimit(resource.RLIMIT_NOFILE, (limit - 25, limit))
counts.append(counter.count_free())
print(counts)
"""


@pytest.mark.parametrize(
    ("position", "counts"),
    [
        (-1, [*range(11), *[10] * 20]),  # the highest first
        (0, [*[0] * 11, *range(1, 11), *[10] * 10]),  # the lowest first: they are not looked at
    ],
)
def test_free_descriptors_are_counted_below_the_limit(position: int, counts: list[int]) -> None:
    command = [sys.executable, "-c", COUNT.format(position=position)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    *before, after = json.loads(output)
    assert before == counts
    assert after == 5  # the new limit is in the middle of the thirty


async def test_counting_opens_none() -> None:
    async with all_closed():
        assert DescriptorCounter(10).count_free() == 10


def test_without_a_limit_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    descriptor = os.dup(0)
    try:
        assert DescriptorCounter(10).count_free() == 10
    finally:
        os.close(descriptor)
