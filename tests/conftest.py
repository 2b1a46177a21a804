"""What all tests share: every async test runs on asyncio's own loop and on uvloop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.tls import VERSIONS, Certificates, the_certificates

LOOP_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOP_FACTORIES["uvloop"] = uvloop.new_event_loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return LOOP_FACTORIES


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
    """Each test that asks for it runs with each version of TLS."""
    version: str = request.param
    return version
