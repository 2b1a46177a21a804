"""The tests on the page about testing pass, and so do others that users write with the same tools.

Each tool has a pytest of its own, in a process of its own, without the plugins of the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.docs.pages import HOW_TO, marked_blocks

PAGE = HOW_TO / "testing.md"
PROGRAMS = marked_blocks(PAGE, "file")
OPTIONS = {
    "test_with_pytest_asyncio.py": ["-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function"],
    "test_with_unittest.py": [],
    "test_with_anyio.py": ["-p", "anyio.pytest_plugin"],
    "test_with_pytest_trio.py": ["-p", "pytest_trio.plugin"],
    "test_blocking_client.py": [],
    "test_handler_alone.py": [],
    "test_client_alone.py": [],
}
TESTS = {"test_with_anyio.py": 2, "test_handler_alone.py": 2, "test_client_alone.py": 2}
"""How many tests pass, where it is not one."""
SECONDS_TO_END = 60.0


def run_pytest(folder: Path, name: str, options: Sequence[str]) -> str:
    """Run a file of tests, all of which have to pass without a warning. Return what pytest prints."""
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (folder / "shouting.py").write_text(PROGRAMS["shouting.py"])
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, name],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_END,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_page_has_no_other_programs() -> None:
    assert set(PROGRAMS) == {"shouting.py", *OPTIONS}
    assert PAGE.read_text().count("```python") == len(PROGRAMS)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_tests_on_the_page_pass(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(PROGRAMS[name])
    assert f"{TESTS.get(name, 1)} passed" in run_pytest(tmp_path, name, OPTIONS[name])


# --- what else users write

PYTEST_ASYNCIO = """
import asyncio
import contextlib
import gc

import pytest
import pytest_asyncio
from shouting import client_of, shouting_server

from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

backend = new_builtin_backend("asyncio")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with shouting_server() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def stack():
    stack = contextlib.AsyncExitStack()
    yield stack
    await stack.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def portal():
    async with backend.create_threads_portal() as portal:
        yield portal


@pytest_asyncio.fixture(loop_scope="module")
async def failing_group():
    with pytest.raises(ExceptionGroup):
        async with backend.create_task_group() as group:
            yield group


@pytest_asyncio.fixture(loop_scope="module")
async def set_up_in_time():
    group = backend.create_task_group()
    with backend.timeout(10):
        await group.__aenter__()
    yield group
    await group.__aexit__(None, None, None)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("n", range(3))
async def test_the_server_of_the_module(server, stack, n):
    clients = [await stack.enter_async_context(client_of(server)) for _ in range(3)]
    for client in clients:
        await client.send_packet("hello")
    for client in clients:
        assert await asyncio.wait_for(client.recv_packet(), 10) == "HELLO"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_portal(portal):
    async def work():
        await asyncio.sleep(0.001)
        return 42

    assert await asyncio.to_thread(portal.run_coroutine, work) == 42
    assert await asyncio.to_thread(portal.run_sync, int, "1") == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_task_that_fails(failing_group):
    async def fail():
        raise OSError

    failing_group.start_soon(fail)
    await asyncio.sleep(0.001)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_set_up_with_a_time_limit(set_up_in_time):
    set_up_in_time.start_soon(asyncio.sleep, 0.001)
"""

UNITTEST = """
import asyncio
from functools import partial
from unittest import IsolatedAsyncioTestCase

from shouting import Shout, client_of, lines

from easynetwork.servers import AsyncTCPNetworkServer


class TestByHand(IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.server = AsyncTCPNetworkServer("127.0.0.1", 0, lines, Shout())
        backend = self.server.backend()
        self.tasks = backend.create_task_group()
        await self.tasks.__aenter__()
        is_up = asyncio.Event()
        await self.tasks.start(partial(self.server.serve_forever, is_up_event=is_up))
        await is_up.wait()

    async def asyncTearDown(self):
        await self.server.shutdown()
        await self.tasks.__aexit__(None, None, None)
        await self.server.server_close()

    async def test_it_shouts(self):
        async with client_of(self.server) as client:
            await client.send_packet("hello")
            self.assertEqual(await client.recv_packet(), "HELLO")

    async def test_a_client_left_to_the_clean_up(self):
        client = await self.enterAsyncContext(client_of(self.server))
        await client.send_packet("hello")
        self.assertEqual(await client.recv_packet(), "HELLO")
"""


@pytest.mark.parametrize("auto", [True, False])
def test_fixtures_of_a_module_portals_failures_and_exit_stacks_work_with_pytest_asyncio(
    tmp_path: Path, auto: bool
) -> None:
    (tmp_path / "test_more.py").write_text(PYTEST_ASYNCIO)
    options = [*OPTIONS["test_with_pytest_asyncio.py"], "-o", f"asyncio_mode={'auto' if auto else 'strict'}"]
    output = run_pytest(tmp_path, "test_more.py", options)
    assert "6 passed" in output


def test_set_up_and_tear_down_by_hand_work_with_unittest(tmp_path: Path) -> None:
    (tmp_path / "test_more.py").write_text(UNITTEST)
    assert "2 passed" in run_pytest(tmp_path, "test_more.py", [])
