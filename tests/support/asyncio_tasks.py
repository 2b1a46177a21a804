"""What only asyncio's own tasks have."""

from __future__ import annotations

__all__ = ["current_task"]

import asyncio
from typing import Any


def current_task() -> asyncio.Task[Any]:
    """Return the task that runs the test."""
    task = asyncio.current_task()
    assert task is not None
    return task
