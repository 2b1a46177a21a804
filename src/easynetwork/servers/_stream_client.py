"""A connected client as a request handler sees it."""

from __future__ import annotations

__all__ = ["ConnectedClient"]

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel.api_async.servers.stream import ServedClient
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.servers.handlers import AsyncStreamClient

_T_Response = TypeVar("_T_Response")


class ConnectedClient(ServedClient[_T_Response], AsyncStreamClient[_T_Response]):
    """Sends like the client of the low-level server, but has many tasks wait in a queue instead of refusing them."""

    __slots__ = ()

    @abstractmethod
    def keep_names(self) -> None:
        """Notes the addresses, which outlive the connection.

        Raises:
            TypedAttributeLookupError: the peer has gone already.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def address(self) -> object:
        """The address of the peer: what log records call the client."""
        raise NotImplementedError

    def connection_is_over(self) -> None:
        """Says that the handler's task has ended: nobody may use the client any more."""
        self._dispatcher.stopped = True

    def is_closing(self) -> bool:
        return self._dispatcher.stopped or self._transport.is_closing()

    async def aclose(self) -> None:
        """Sends what is to be sent, then closes the connection. Idempotent. A cancelled call closes abruptly."""
        try:
            await super().aclose()
        except BaseException:
            if not self._transport.is_closing():
                self._dispatcher.stop()
                await aclose_forcefully(self._transport)
            raise

    def _check_can_send(self) -> None:
        if self.is_closing():
            raise ClientClosedError("The client is closed")

    def _new_exclusion(self) -> AbstractAsyncContextManager[object]:
        return self.backend().create_fair_lock()
