"""How a backend is found and made."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sniffio

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend, new_builtin_backend

EVERY_BACKEND = True


def test_a_name_gives_a_new_backend() -> None:
    first, second = new_builtin_backend("asyncio"), ensure_backend("asyncio")
    assert isinstance(first, AsyncBackend)
    assert isinstance(second, AsyncBackend)
    assert first is not second
    assert first != second


def test_a_backend_is_returned_as_it_is(backend: AsyncBackend) -> None:
    assert ensure_backend(backend) is backend


def test_each_name_gives_its_backend() -> None:
    assert "Trio" in type(new_builtin_backend("trio")).__name__
    assert "Trio" in type(ensure_backend("trio")).__name__
    assert "AsyncIO" in type(ensure_backend("asyncio")).__name__


def test_the_repr_is_short(backend: AsyncBackend) -> None:
    assert repr(backend) == f"<{type(backend).__name__} object at {id(backend):#x}>"


@pytest.mark.parametrize("name", ["curio", "", "ASYNCIO"])
def test_an_unknown_name_is_not_implemented(name: Any) -> None:
    for function in (ensure_backend, new_builtin_backend):
        with pytest.raises(NotImplementedError):
            function(name)


@pytest.mark.parametrize("bad", [1, b"asyncio", object(), AsyncBackend])
def test_anything_else_is_a_type_error(bad: Any) -> None:
    with pytest.raises(TypeError):
        ensure_backend(bad)


def test_trio_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    monkeypatch.delitem(sys.modules, "easynetwork.lowlevel.api_async.backend._trio.backend", raising=False)
    with pytest.raises(ModuleNotFoundError) as info:
        new_builtin_backend("trio")
    assert any("trio" in note for note in info.value.__notes__)
    assert isinstance(info.value.__cause__, ModuleNotFoundError)


def test_trio_is_imported_only_if_it_is_used() -> None:
    code = """
import asyncio, importlib, pkgutil, sys
import easynetwork
for module in pkgutil.walk_packages(easynetwork.__path__, "easynetwork."):
    if "._trio" not in module.name and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from easynetwork.lowlevel.api_async.backend.utils import ensure_backend
async def main():
    ensure_backend(None)
ensure_backend("asyncio").bootstrap(main)
assert "trio" not in sys.modules and "outcome" not in sys.modules
ensure_backend("trio")
assert "trio" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_outside_of_a_loop_the_library_is_unknown() -> None:
    with pytest.raises(sniffio.AsyncLibraryNotFoundError):
        ensure_backend(None)


async def test_within_a_task_the_library_is_known(backend: AsyncBackend) -> None:
    assert type(ensure_backend(None)) is type(backend)


async def test_another_library_is_not_implemented(backend: AsyncBackend) -> None:
    token = sniffio.current_async_library_cvar.set("curio")
    name, sniffio.thread_local.name = sniffio.thread_local.name, None
    try:
        with pytest.raises(NotImplementedError):
            ensure_backend(None)
    finally:
        sniffio.thread_local.name = name
        sniffio.current_async_library_cvar.reset(token)


# --- bootstrap


def test_bootstrap_runs_a_coroutine_and_returns_its_result(backend: AsyncBackend) -> None:
    async def run(a: int, b: int) -> tuple[int, AsyncBackend]:
        return a + b, ensure_backend(None)

    result, running = backend.bootstrap(run, 1, 2)
    assert result == 3
    assert type(running) is type(backend)
    assert sniffio.thread_local.name is None


def test_bootstrap_passes_exceptions_and_cleans_up(backend: AsyncBackend) -> None:
    async def run() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backend.bootstrap(run)
    assert sniffio.thread_local.name is None


def test_bootstrap_refuses_unknown_options(backend: AsyncBackend) -> None:
    async def run() -> None:
        pytest.fail("unreachable")

    with pytest.raises(TypeError):
        backend.bootstrap(run, runner_options={"unknown": 1})
    assert sniffio.thread_local.name is None


# --- time


def test_there_is_no_clock_outside_of_a_loop(backend: AsyncBackend) -> None:
    with pytest.raises(RuntimeError):
        backend.current_time()


async def test_sleeping_lasts_as_long_as_asked_for(backend: AsyncBackend) -> None:
    start = backend.current_time()
    await backend.sleep(0.01)
    assert backend.current_time() >= start + 0.009
    await backend.sleep_until(start + 0.02)
    assert backend.current_time() >= start + 0.019


async def test_checkpoints_let_others_run_and_can_be_cancelled(backend: AsyncBackend) -> None:
    now = backend.current_time()
    checkpoints: list[Callable[[], Awaitable[None]]] = [
        lambda: backend.sleep(0),
        lambda: backend.sleep_until(now - 1),
        lambda: backend.sleep_until(-math.inf),
        backend.coro_yield,
    ]
    for checkpoint in checkpoints:
        events: list[str] = []

        async def other(events: list[str] = events) -> None:
            events.append("others")

        async with backend.create_task_group() as group:
            group.start_soon(other)
            await checkpoint()
            await backend.coro_yield()
            assert events == ["others"]
        with backend.open_cancel_scope() as scope:
            scope.cancel()
            await checkpoint()
        assert scope.cancelled_caught()


# --- names


async def test_names_are_resolved_without_blocking_the_loop(backend: AsyncBackend) -> None:
    [first, *_] = await backend.getaddrinfo("127.0.0.1", 80)
    assert first[4] == ("127.0.0.1", 80)
    host, port = await backend.getnameinfo(("127.0.0.1", 80), 3)
    assert (host, port) == ("127.0.0.1", "80")


async def test_name_resolution_is_abandoned_when_cancelled(
    backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket
    import threading

    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: release.wait(5))
    try:
        with backend.move_on_after(0.005) as scope:
            await backend.getaddrinfo("name.invalid", 80)
        assert scope.cancelled_caught()
    finally:
        release.set()
