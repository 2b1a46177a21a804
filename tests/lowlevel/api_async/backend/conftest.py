from __future__ import annotations

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend


@pytest.fixture
def backend() -> AsyncBackend:
    return new_builtin_backend("asyncio")
