"""The task of a server that keeps its limits."""

from __future__ import annotations

__all__ = ["LimitKeeper"]

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from easynetwork.lowlevel._records import Logger, log

from ._background import in_background
from ._connection_watch import ConnectionWatch
from ._limit_log import LimitLog, PeerLogger
from .limits import ServerLimits

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, IEvent

_LONGEST_PAUSE: Final = 0.4
"""Maximum number of seconds between two looks at the connections. A clock may start one look late, and end one late."""
_SHORTEST_PAUSE: Final = 0.01


class LimitKeeper:
    """Looks at the connections of a server several times a second, while there are any. Logs what was over a limit.

    Parameters:
        limits: those of the server.
        logger: that of the server.
        backend: the asynchronous backend.
    """

    def __init__(self, limits: ServerLimits, logger: logging.Logger, backend: AsyncBackend) -> None:
        self._backend = backend
        self._logger = logger
        self._has_work: IEvent | None = None  # set while nothing is to be done
        self.log: Final = LimitLog(logger, limits.log_interval, self._wake)
        self.peer_logger: Final[Logger] = (
            logger
            if limits.log_records is None
            else PeerLogger(logger, limits.log_records, limits.log_interval, self.log)
        )
        """Receives the records about clients."""
        self.watch: Final = ConnectionWatch(limits, backend, self.log.count, self._wake)
        self._pause = max(min(_LONGEST_PAUSE, self.watch.shortest / 4), _SHORTEST_PAUSE)

    @asynccontextmanager
    async def keeping(self) -> AsyncGenerator[None]:
        """Keep the limits in a task while the block runs."""
        async with in_background(self._backend, self._keep):
            try:
                yield
            finally:
                self.log.write()

    async def _keep(self) -> NoReturn:
        while True:
            if self.log.is_empty and self.watch.is_empty:
                self._has_work = self._backend.create_event()
                await self._has_work.wait()
                self._has_work = None
            await self._backend.sleep(self._pause)
            try:
                await self.watch.look()
            except Exception as exc:
                log(self._logger, logging.ERROR, "A look at the connections failed", exc_info=exc)
            self.log.write_if_due()

    def _wake(self) -> None:
        if self._has_work is not None:
            self._has_work.set()
