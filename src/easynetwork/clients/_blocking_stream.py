"""Base class of the blocking stream clients."""

from __future__ import annotations

__all__ = ["BlockingStreamClient"]

import contextlib
import socket as _socket
from collections.abc import Iterator, Mapping
from typing import Any, Generic, NoReturn, TypeVar

from easynetwork.clients._blocking_client import BlockingClient
from easynetwork.clients._errors import raise_stream_client_error
from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport, SSLStreamTransport
from easynetwork.protocol import AnyStreamProtocolType

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class BlockingStreamClient(
    BlockingClient[_T_SentPacket, _T_ReceivedPacket, StreamEndpoint[Any, Any]],
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """Packets over a stream transport.

    Parameters:
        sock: a connected socket.
        transport: a transport over *sock* with all its layers (TLS). Closed if another argument is invalid.
        protocol: the protocol object.
        max_recv_size: maximum number of bytes per read.
    """

    __slots__ = ("_protocol",)

    def __init__(
        self,
        sock: _socket.socket,
        transport: SocketStreamTransport | SSLStreamTransport,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        max_recv_size: int,
    ) -> None:
        super().__init__(sock, transport, StreamEndpoint(transport, protocol, max_recv_size))
        self._protocol = protocol

    def _set_protocol(self, protocol: AnyStreamProtocolType[Any, Any]) -> None:
        """Do what `set_protocol` does in each of the subclasses."""
        check_stream_protocol(protocol)
        with self._alone_receiving():
            self._check_open()
            self._endpoint.set_protocol(protocol)
            self._protocol = protocol

    def _start_tls(self, tls_options: Mapping[str, Any]) -> None:
        """Upgrade the connection to TLS. The options are those of `SSLStreamTransport`."""
        with self._send_lock.lock, self._alone_receiving():
            self._check_open()
            try:
                self._transport = self._endpoint._start_tls(self._protocol, **tls_options)
            except OSError as exc:
                self._raise_client_error(exc)
            finally:
                if self._endpoint.is_closed():  # the handshake failed
                    self._closed = True

    @contextlib.contextmanager
    def _alone_receiving(self) -> Iterator[None]:
        """Keep other threads from receiving. Raise `BusyResourceError` if one does."""
        lock = self._receive_lock.lock
        if not lock.acquire(blocking=False):
            raise BusyResourceError("Another thread is receiving")
        try:
            yield
        finally:
            lock.release()

    def send_eof(self) -> None:
        """Close the sending direction. Receiving remains possible. Idempotent. Do nothing on a closed client.

        Raises:
            ConnectionAbortedError: the connection broke.
            UnsupportedOperation: the connection uses TLS. It is not changed.
        """
        with self._send_lock.lock:
            if not self._closed:
                try:
                    self._endpoint.send_eof()
                except OSError as exc:
                    self._raise_client_error(exc)

    def _raise_client_error(self, exc: OSError) -> NoReturn:
        raise_stream_client_error(exc, self._closed)
