"""Real servers that more than one module talks to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.programs import needs_program, running
from tests.support.sockets import unused_address


@pytest.fixture(scope="module")
def real_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a ``redis-server`` that stores nothing on the disk."""
    program = needs_program("redis-server")
    folder: Path = tmp_path_factory.mktemp("redis")
    port = unused_address()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with running([program, *options], folder) as server:
        server.wait_for("Ready to accept connections")
        yield port
