from __future__ import annotations

import asyncio

import easynetwork


def test_version_is_a_string() -> None:
    assert easynetwork.__version__.count(".") == 2


async def test_each_async_test_runs_on_every_loop() -> None:
    assert asyncio.get_running_loop().is_running()
