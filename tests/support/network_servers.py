"""What tests of stream servers and of datagram servers share."""

from __future__ import annotations

__all__ = ["problems", "run_in_task"]

import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

from tests.support.background import Running, background_tasks, until
from tests.support.loop_errors import nothing_reported
from tests.support.sockets import PATIENCE

from easynetwork.servers._network_server import BaseAsyncNetworkServer


@contextlib.asynccontextmanager
async def run_in_task(server: BaseAsyncNetworkServer[Any, Any]) -> AsyncIterator[Running[None]]:
    """Serve until the end of the context, then shut *server* down and close it. Nothing may be reported as an error."""
    backend = server.backend()
    is_up = backend.create_event()
    async with nothing_reported(), background_tasks(backend) as background:
        task = await background.start(partial(server.serve_forever, is_up_event=is_up))
        try:
            with backend.timeout(PATIENCE):
                await until(lambda: is_up.is_set() or task.done())
            assert not task.done(), task.error
            yield task
        finally:
            await server.shutdown()
            await server.server_close()
            await task.wait()
    assert task.error is None


def problems(records: Iterable[Any]) -> list[Any]:
    """Return the records above ``INFO``."""
    return [record for record in records if record.levelno > logging.INFO]
