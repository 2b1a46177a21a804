"""Blocking transports as asynchronous ones, so that the same checks can be run over them."""

from __future__ import annotations

__all__ = ["DatagramsInThread", "StreamInThread"]

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import (
    AsyncBaseTransport,
    AsyncDatagramTransport,
    AsyncStreamTransport,
)
from easynetwork.lowlevel.api_sync.transports.abc import BaseTransport, DatagramTransport, StreamTransport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_T_Blocking = TypeVar("_T_Blocking", bound=BaseTransport)

TIMEOUT: Final = 15.0
"""Seconds for each call, so that none blocks for ever."""


class _InThread(AsyncBaseTransport, Generic[_T_Blocking]):
    """Each call is made in a thread. Cannot be cancelled.

    Parameters:
        backend: provides the threads.
        blocking: the transport. Owned.
    """

    def __init__(self, backend: AsyncBackend, blocking: _T_Blocking) -> None:
        self._backend = backend
        self.blocking: Final = blocking

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.blocking!r}>"

    def is_closing(self) -> bool:
        return self.blocking.is_closed()

    async def aclose(self) -> None:
        await self._backend.run_in_thread(self.blocking.close)

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self.blocking.extra_attributes


class StreamInThread(_InThread[StreamTransport], AsyncStreamTransport):
    async def recv(self, bufsize: int) -> bytes:
        return await self._backend.run_in_thread(self.blocking.recv, bufsize, TIMEOUT)

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        return await self._backend.run_in_thread(self.blocking.recv_into, buffer, TIMEOUT)

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return await self._backend.run_in_thread(self.blocking.recv_with_ancillary, bufsize, ancillary_bufsize, TIMEOUT)

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        return await self._backend.run_in_thread(
            self.blocking.recv_with_ancillary_into, buffer, ancillary_bufsize, TIMEOUT
        )

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._backend.run_in_thread(self.blocking.send_all, data, TIMEOUT)

    async def send_all_from_iterable(self, iterable_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        await self._backend.run_in_thread(self.blocking.send_all_from_iterable, iterable_of_data, TIMEOUT)

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        await self._backend.run_in_thread(
            self.blocking.send_all_with_ancillary, iterable_of_data, ancillary_data, TIMEOUT
        )

    async def send_eof(self) -> None:
        await self._backend.run_in_thread(self.blocking.send_eof)


class DatagramsInThread(_InThread[DatagramTransport], AsyncDatagramTransport):
    async def recv(self) -> bytes:
        return await self._backend.run_in_thread(self.blocking.recv, TIMEOUT)

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return await self._backend.run_in_thread(self.blocking.recv_with_ancillary, ancillary_bufsize, TIMEOUT)

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        await self._backend.run_in_thread(self.blocking.send, data, TIMEOUT)

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        await self._backend.run_in_thread(self.blocking.send_with_ancillary, data, ancillary_data, TIMEOUT)
