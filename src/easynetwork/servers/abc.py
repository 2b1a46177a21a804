"""What every server can do."""

from __future__ import annotations

__all__ = ["AbstractAsyncNetworkServer", "AbstractNetworkServer", "SupportsEventSet"]

from abc import ABCMeta, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


class SupportsEventSet(Protocol):
    """Anything with an idempotent ``set()``: `threading.Event`, `asyncio.Event`..."""

    def set(self) -> None:
        """Says that it has happened."""


class AbstractNetworkServer(metaclass=ABCMeta):
    """A server that runs in the calling thread. ``with`` closes it on exit."""

    __slots__ = ("__weakref__",)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.server_close()

    @abstractmethod
    def is_serving(self) -> bool:
        """Returns whether clients are accepted."""
        raise NotImplementedError

    @abstractmethod
    def serve_forever(self, *, is_up_event: SupportsEventSet | None = None) -> None:
        """Serves clients until `shutdown` is called from another thread.

        Parameters:
            is_up_event: set once clients are accepted.
        """
        raise NotImplementedError

    @abstractmethod
    def server_close(self) -> None:
        """Closes the server for good."""
        raise NotImplementedError

    @abstractmethod
    def shutdown(self, timeout: float | None = None) -> None:
        """Ends `serve_forever`, from another thread, and waits at most *timeout* seconds until it has returned."""
        raise NotImplementedError


class AbstractAsyncNetworkServer(metaclass=ABCMeta):
    """A server that runs in a task. ``async with`` activates it, and closes it on exit."""

    __slots__ = ("__weakref__",)

    async def __aenter__(self) -> Self:
        await self.server_activate()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.server_close()

    @abstractmethod
    def is_serving(self) -> bool:
        """Returns whether clients are accepted."""
        raise NotImplementedError

    @abstractmethod
    async def serve_forever(self, *, is_up_event: SupportsEventSet | None = None) -> None:
        """Serves clients until `shutdown` is called, or this task is cancelled.

        Parameters:
            is_up_event: set once clients are accepted.
        """
        raise NotImplementedError

    @abstractmethod
    def is_listening(self) -> bool:
        """Returns whether the sockets are open."""
        raise NotImplementedError

    @abstractmethod
    async def server_activate(self) -> None:
        """Opens the sockets. Idempotent."""
        raise NotImplementedError

    @abstractmethod
    async def server_close(self) -> None:
        """Closes the sockets for good. Clients that are connected are served to their end."""
        raise NotImplementedError

    @abstractmethod
    async def shutdown(self) -> None:
        """Ends `serve_forever` and waits until it has returned. Not to be called from within."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Returns the backend of the server."""
        raise NotImplementedError
