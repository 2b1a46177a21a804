"""What the tests of servers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.servers.kinds import KINDS, Kind
from tests.support.datagram_servers import has_unix_datagrams
from tests.support.faults import FAULTS

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


@pytest.fixture(params=FAULTS)
def make_fault(request: pytest.FixtureRequest) -> Callable[[], BaseException]:
    """Make what user code raises. It is not an `Exception`."""
    return FAULTS[request.param]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, backend: AsyncBackend, tmp_path: Path) -> Iterator[Kind]:
    """One of the four kinds of servers; or one of those that the test names, by indirect parametrization."""
    if request.param == "unix-datagram" and not has_unix_datagrams(backend):
        pytest.skip("this backend has no Unix datagram sockets")
    kind = Kind(request.param, backend, tmp_path)
    yield kind
    kind.hang_up()
