"""The kinds of inline drivers."""

from __future__ import annotations

import pytest
from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind
