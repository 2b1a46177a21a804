"""The connections of each kind."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import pytest
from tests.cancellation.links import DATAGRAMS, PLAIN_STREAMS, STREAMS, TRANSPORTS, Links

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


def _links(request: pytest.FixtureRequest, backend: AsyncBackend, tmp_path: pathlib.Path) -> Links:
    return Links(request.param, backend, tmp_path)


streams = pytest.fixture(_links, params=STREAMS, name="streams")
transports = pytest.fixture(_links, params=TRANSPORTS, name="transports")
plain_streams = pytest.fixture(_links, params=PLAIN_STREAMS, name="plain_streams")


@pytest.fixture
def unix_streams(backend: AsyncBackend, tmp_path: pathlib.Path) -> Links:
    return Links("unix", backend, tmp_path)


@pytest.fixture
def unix_datagrams(unix_streams: Links) -> Links:
    unix_streams.require_datagrams()
    return unix_streams


@pytest.fixture
def new_links(backend: AsyncBackend, tmp_path: pathlib.Path) -> Callable[[str], Links]:
    return lambda kind: Links(kind, backend, tmp_path)


@pytest.fixture(params=DATAGRAMS)
def datagrams(request: pytest.FixtureRequest, backend: AsyncBackend, tmp_path: pathlib.Path) -> Links:
    links = Links(request.param, backend, tmp_path)
    links.require_datagrams()
    return links
