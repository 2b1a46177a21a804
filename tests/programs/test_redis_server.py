from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from tests.support.programs import Example, example, needs_program


@pytest.fixture(scope="module")
def server() -> Iterator[Example]:
    with example("redis_server.py") as server:
        yield server


@pytest.mark.real_client
def test_redis_cli_gets_what_it_has_set(server: Example) -> None:
    cli = [needs_program("redis-cli"), "-p", str(server.port)]
    assert subprocess.check_output([*cli, "set", "name", "Ada"]) == b"OK\n"
    assert subprocess.check_output([*cli, "get", "name"]) == b"Ada\n"
