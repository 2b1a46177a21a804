"""Transports composed of a sending and a receiving transport, for example two pipes."""

from __future__ import annotations

__all__ = ["AsyncStapledDatagramTransport", "AsyncStapledStreamTransport"]

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from easynetwork._final import refuse_subclasses

from . import _hooks, _pull
from ._closing import aclose_all
from .abc import (
    AsyncBaseTransport,
    AsyncDatagramReadTransport,
    AsyncDatagramTransport,
    AsyncDatagramWriteTransport,
    AsyncStreamReadTransport,
    AsyncStreamTransport,
    AsyncStreamWriteTransport,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SendStreamTransport = TypeVar("_T_SendStreamTransport", bound=AsyncStreamWriteTransport)
_T_ReceiveStreamTransport = TypeVar("_T_ReceiveStreamTransport", bound=AsyncStreamReadTransport)
_T_SendDatagramTransport = TypeVar("_T_SendDatagramTransport", bound=AsyncDatagramWriteTransport)
_T_ReceiveDatagramTransport = TypeVar("_T_ReceiveDatagramTransport", bound=AsyncDatagramReadTransport)


class _Stapled(AsyncBaseTransport):
    """The common part of stapled transports."""

    __slots__ = ()

    send_transport: AsyncBaseTransport
    receive_transport: AsyncBaseTransport

    def __post_init__(self) -> None:
        if self.send_transport.backend() is not self.receive_transport.backend():
            raise RuntimeError("The sending and the receiving transport must have the same backend object")

    async def aclose(self) -> None:
        """Close the sending transport, then the receiving transport.

        If closing the first fails or is cancelled, the second is closed abruptly.
        """
        await aclose_all((self.send_transport, self.receive_transport))

    def is_closing(self) -> bool:
        """Return whether both transports are closing."""
        return self.send_transport.is_closing() and self.receive_transport.is_closing()

    def backend(self) -> AsyncBackend:
        return self.receive_transport.backend()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of both transports. The receiving transport takes precedence."""
        return {**self.send_transport.extra_attributes, **self.receive_transport.extra_attributes}


@final
@refuse_subclasses
@dataclass(frozen=True)
class AsyncStapledStreamTransport(
    _Stapled, AsyncStreamTransport, Generic[_T_SendStreamTransport, _T_ReceiveStreamTransport]
):
    """A byte stream made of one transport per direction. It owns both transports.

    Raises:
        RuntimeError: the transports do not have the same backend object.
    """

    __slots__ = ("receive_transport", "send_transport")

    send_transport: _T_SendStreamTransport
    """The sending transport."""

    receive_transport: _T_ReceiveStreamTransport
    """The receiving transport."""

    async def recv(self, bufsize: int) -> bytes:
        return await self.receive_transport.recv(bufsize)

    async def recv_into(self, buffer: WriteableBuffer) -> int:
        return await self.receive_transport.recv_into(buffer)

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return await self.receive_transport.recv_with_ancillary(bufsize, ancillary_bufsize)

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        return await self.receive_transport.recv_with_ancillary_into(buffer, ancillary_bufsize)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.send_transport.send_all(data)

    async def send_all_from_iterable(self, iterable_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        await self.send_transport.send_all_from_iterable(iterable_of_data)

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        await self.send_transport.send_all_with_ancillary(iterable_of_data, ancillary_data)

    async def send_eof(self) -> None:
        """Close the sending direction. If the sending transport cannot do that, close it completely."""
        if isinstance(self.send_transport, AsyncStreamTransport):
            try:
                return await self.send_transport.send_eof()
            except NotImplementedError:  # includes UnsupportedOperation, a subclass
                pass
        return await self.send_transport.aclose()

    def _hook_write_batch(self) -> _hooks.WriteBatch:
        return _hooks.write_batch(self.send_transport)

    def _hook_chunk_receiver(self) -> _hooks.ChunkReceiver | None:
        return _hooks.chunk_receiver(self.receive_transport)

    def _hook_driver(self, dispatcher: StreamDispatcher[Any]) -> Driver:
        if isinstance(self.receive_transport, AsyncStreamTransport):  # it may have a faster driver
            return _hooks.driver_of(self.receive_transport, dispatcher)
        return _pull.PullingDriver(self, dispatcher)


@final
@refuse_subclasses
@dataclass(frozen=True)
class AsyncStapledDatagramTransport(
    _Stapled, AsyncDatagramTransport, Generic[_T_SendDatagramTransport, _T_ReceiveDatagramTransport]
):
    """A datagram transport made of one transport per direction. It owns both transports.

    Raises:
        RuntimeError: the transports do not have the same backend object.
    """

    __slots__ = ("receive_transport", "send_transport")

    send_transport: _T_SendDatagramTransport
    """The sending transport."""

    receive_transport: _T_ReceiveDatagramTransport
    """The receiving transport."""

    async def recv(self) -> bytes:
        return await self.receive_transport.recv()

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        return await self.receive_transport.recv_with_ancillary(ancillary_bufsize)

    @property
    def dropped_datagrams(self) -> int:
        return self.receive_transport.dropped_datagrams

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        await self.send_transport.send(data)

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        await self.send_transport.send_with_ancillary(data, ancillary_data)
