"""Combine two transports, for example two pipes: one to send, one to receive."""

from __future__ import annotations

__all__ = ["StapledDatagramTransport", "StapledStreamTransport"]

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from easynetwork._final import refuse_subclasses

from . import _hooks
from .abc import (
    BaseTransport,
    DatagramReadTransport,
    DatagramTransport,
    DatagramWriteTransport,
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_T_SendStreamTransport = TypeVar("_T_SendStreamTransport", bound=StreamWriteTransport)
_T_ReceiveStreamTransport = TypeVar("_T_ReceiveStreamTransport", bound=StreamReadTransport)
_T_SendDatagramTransport = TypeVar("_T_SendDatagramTransport", bound=DatagramWriteTransport)
_T_ReceiveDatagramTransport = TypeVar("_T_ReceiveDatagramTransport", bound=DatagramReadTransport)


class _Stapled(BaseTransport):
    """Base class of the stapled transports."""

    __slots__ = ()

    send_transport: BaseTransport
    receive_transport: BaseTransport

    def close(self) -> None:
        """Close both transports, even if closing the first one fails."""
        try:
            self.send_transport.close()
        finally:
            self.receive_transport.close()

    def _hook_close_abruptly(self) -> None:
        try:
            _hooks.close_abruptly(self.send_transport)
        finally:
            _hooks.close_abruptly(self.receive_transport)

    def is_closed(self) -> bool:
        """Return whether both transports are closed."""
        return self.send_transport.is_closed() and self.receive_transport.is_closed()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The attributes of both transports. The receiving transport takes precedence."""
        return {**self.send_transport.extra_attributes, **self.receive_transport.extra_attributes}


@final
@refuse_subclasses
@dataclass(frozen=True)
class StapledStreamTransport(_Stapled, StreamTransport, Generic[_T_SendStreamTransport, _T_ReceiveStreamTransport]):
    """A byte stream with a separate transport for each direction. It owns both."""

    __slots__ = ("receive_transport", "send_transport")

    send_transport: _T_SendStreamTransport
    """The transport that sends."""

    receive_transport: _T_ReceiveStreamTransport
    """The transport that receives."""

    def recv(self, bufsize: int, timeout: float) -> bytes:
        return self.receive_transport.recv(bufsize, timeout)

    def recv_into(self, buffer: WriteableBuffer, timeout: float) -> int:
        return self.receive_transport.recv_into(buffer, timeout)

    def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        return self.receive_transport.recv_with_ancillary(bufsize, ancillary_bufsize, timeout)

    def recv_with_ancillary_into(
        self, buffer: WriteableBuffer, ancillary_bufsize: int, timeout: float
    ) -> tuple[int, Any]:
        return self.receive_transport.recv_with_ancillary_into(buffer, ancillary_bufsize, timeout)

    def _hook_chunk_receiver(self) -> Callable[[int, float], bytes] | None:
        return _hooks.chunk_receiver(self.receive_transport)

    def _hook_sender(self) -> Callable[[bytes, float], object]:
        return _hooks.sender(self.send_transport)

    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> int:
        return self.send_transport.send(data, timeout)

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        self.send_transport.send_all(data, timeout)

    def send_all_from_iterable(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], timeout: float
    ) -> None:
        self.send_transport.send_all_from_iterable(iterable_of_data, timeout)

    def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any, timeout: float
    ) -> None:
        self.send_transport.send_all_with_ancillary(iterable_of_data, ancillary_data, timeout)

    def send_eof(self) -> None:
        """Close the sending direction, or the whole sending transport if it does not support that."""
        if isinstance(self.send_transport, StreamTransport):
            try:
                return self.send_transport.send_eof()
            except NotImplementedError:  # includes UnsupportedOperation
                pass
        return self.send_transport.close()


@final
@refuse_subclasses
@dataclass(frozen=True)
class StapledDatagramTransport(
    _Stapled, DatagramTransport, Generic[_T_SendDatagramTransport, _T_ReceiveDatagramTransport]
):
    """Datagrams to and from one peer, with a separate transport for each direction. It owns both."""

    __slots__ = ("receive_transport", "send_transport")

    send_transport: _T_SendDatagramTransport
    """The transport that sends."""

    receive_transport: _T_ReceiveDatagramTransport
    """The transport that receives."""

    def recv(self, timeout: float) -> bytes:
        return self.receive_transport.recv(timeout)

    def recv_with_ancillary(self, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        return self.receive_transport.recv_with_ancillary(ancillary_bufsize, timeout)

    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        self.send_transport.send(data, timeout)

    def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any, timeout: float) -> None:
        self.send_transport.send_with_ancillary(data, ancillary_data, timeout)
