"""What all tests share: the event loops they run on, the markers, and the fixtures.

Every async test runs on asyncio's own loop and on uvloop. A module whose tests use only the interface of
`AsyncBackend` sets

    EVERY_BACKEND = True

and then runs on trio too. Its async tests do not run by pytest-asyncio, but by ``backend.bootstrap()``, once on each
loop and once on trio. They get the backend as the fixture ``backend``. `tests.support.background.spawn` runs tasks
beside them. A fixture that needs the event loop is an asynchronous context manager. The event loop enters it right
before the test::

    @pytest.fixture
    @contextlib.asynccontextmanager
    async def listener(backend: AsyncBackend) -> AsyncIterator[AsyncListener[AsyncStreamTransport]]: ...

The marker ``not_on_trio`` leaves out trio, for a test that promises more than trio can keep; it gives the reason. The
marker ``lazy_tasks`` is for a test that relies on a task beginning in a later turn of the event loop:
``--eager-tasks`` leaves that test out.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import inspect
import logging
import os
import pathlib
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, NamedTuple

import hypothesis
import pytest
from tests.support.background import Background, background_tasks
from tests.support.certificates import VERSIONS, Certificates, the_certificates
from tests.support.real_clients import RealClients

from easynetwork._acceleration import describe
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

LOOP_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop


# The same examples in each run, however slow the machine is.
hypothesis.settings.register_profile("reproducible", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("reproducible")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--eager-tasks", action="store_true", help="run every event loop with asyncio.eager_task_factory (Python 3.12)"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes for ``-n auto``. Many tests wait: for a timer, a program or a peer."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_report_header() -> str:
    return f"easynetwork: {describe()}"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RealClients())
    if config.getoption("--eager-tasks"):
        for name, factory in LOOP_FACTORIES.items():
            LOOP_FACTORIES[name] = functools.partial(_eager_loop, factory)
    # In asyncio's debug mode, a busy machine makes records that no test expects.
    logging.getLogger("asyncio").addFilter(lambda record: not str(record.msg).startswith("Executing %s took"))
    if not config.getoption("numprocesses", None):
        # This process runs the tests, as a worker of pytest-xdist or alone. The modes are for this process. The output
        # of the programs that tests start is compared, so they run without these modes.
        for name in ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONOPTIMIZE"):
            if os.environ.pop(name, None) and name == "PYTHONASYNCIODEBUG":
                for loop, factory in LOOP_FACTORIES.items():
                    LOOP_FACTORIES[loop] = functools.partial(_debugged_loop, factory)


def _debugged_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    loop = factory()
    loop.set_debug(True)
    return loop


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--eager-tasks"):
        for item in items:
            if marker := item.get_closest_marker("lazy_tasks"):
                item.add_marker(pytest.mark.skip(reason=marker.kwargs["reason"]))


def _eager_loop(factory: Callable[[], asyncio.AbstractEventLoop]) -> asyncio.AbstractEventLoop:
    loop = factory()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # 3.12
    return loop


PATIENCE = 30
"""Seconds after which a test that hangs has failed."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOP_FACTORIES


class _Module(pytest.Module):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        if getattr(self.obj, "EVERY_BACKEND", False):
            for name, test in list(vars(self.obj).items()):
                if name.startswith("test") and inspect.iscoroutinefunction(test):
                    setattr(self.obj, name, _on_every_backend(test))
        return super().collect()


def pytest_pycollect_makemodule(module_path: pathlib.Path, parent: pytest.Collector) -> pytest.Module:
    module: pytest.Module = _Module.from_parent(parent, path=module_path)
    return module


def _on_every_backend(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(runner: Runner, **fixtures: Any) -> None:
        async def enter_fixtures() -> None:
            async with background_tasks(runner.backend), contextlib.AsyncExitStack() as stack:
                for name, value in fixtures.items():
                    if isinstance(value, contextlib.AbstractAsyncContextManager):
                        fixtures[name] = await stack.enter_async_context(value)
                with runner.backend.timeout(PATIENCE):
                    await test(**fixtures)

        runner.backend.bootstrap(enter_fixtures, runner_options=runner.options)

    signature = inspect.signature(test)
    parameter = inspect.Parameter("runner", inspect.Parameter.KEYWORD_ONLY)
    vars(run)["__signature__"] = signature.replace(parameters=[*signature.parameters.values(), parameter])
    return run


class Runner(NamedTuple):
    """Runs a test whose module has ``EVERY_BACKEND``."""

    backend: AsyncBackend
    options: Mapping[str, Any]


def pytest_collection_finish(session: pytest.Session) -> None:
    # Thousands of collected tests are a million objects. Many tests collect garbage, and need not look through those.
    # Import hypothesis before: while it is imported, it asks the collector for the referrers of trio's generator. Its
    # plugin imports it at the end in any case.
    importlib.import_module("hypothesis")
    gc.collect()
    gc.freeze()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if getattr(metafunc.module, "EVERY_BACKEND", False) and "runner" in metafunc.fixturenames:
        exception = metafunc.definition.get_closest_marker("not_on_trio")
        metafunc.parametrize("runner", [*LOOP_FACTORIES, *([] if exception else ["trio"])], indirect=True)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Runner:
    name: str = getattr(request, "param", "asyncio")
    if name == "trio":
        return Runner(new_builtin_backend("trio"), {})
    return Runner(new_builtin_backend("asyncio"), {"loop_factory": LOOP_FACTORIES[name]})


@pytest.fixture
def backend(runner: Runner) -> AsyncBackend:
    """The backend of the event loop that runs the test."""
    return runner.backend


@pytest.fixture
def background(backend: AsyncBackend) -> contextlib.AbstractAsyncContextManager[Background]:
    """Run tasks beside the test: for fixtures, and for tests that wait until a task has begun."""
    return background_tasks(backend)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    """A path for a Unix socket, which does not exist yet."""
    return str(tmp_path / "socket")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """A generator seeded by the name of the test: random, and the same in every run."""
    node: Any = request.node
    return random.Random(node.nodeid)


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return the_certificates()


@pytest.fixture(params=VERSIONS)
def tls_version(request: pytest.FixtureRequest) -> str:
    """Run the test with each version of TLS."""
    version: str = request.param
    return version
