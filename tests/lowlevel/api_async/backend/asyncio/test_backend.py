"""What the asyncio backend does on its own terms."""

from __future__ import annotations

import asyncio
from typing import Any

import sniffio

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


def test_bootstrap_tells_sniffio_in_its_thread(backend: AsyncBackend) -> None:
    async def run() -> str | None:
        return sniffio.thread_local.name

    assert backend.bootstrap(run) == "asyncio"
    assert sniffio.thread_local.name is None


def test_bootstrap_passes_its_options_to_the_runner(backend: AsyncBackend) -> None:
    class Loop(asyncio.SelectorEventLoop):
        pass

    async def run() -> type[Any]:
        return type(asyncio.get_running_loop())

    assert backend.bootstrap(run, runner_options={"loop_factory": Loop}) is Loop


async def test_the_clock_is_that_of_the_loop(backend: AsyncBackend) -> None:
    before = asyncio.get_running_loop().time()
    assert before <= backend.current_time() <= asyncio.get_running_loop().time()
