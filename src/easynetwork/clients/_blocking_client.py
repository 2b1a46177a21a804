"""Base class of the blocking clients."""

from __future__ import annotations

__all__ = ["BlockingClient"]

import math
import socket as _socket
import threading
import warnings
from typing import Any, Generic, NoReturn, TypeVar, final

from easynetwork._checks import seconds
from easynetwork.clients._errors import raise_client_error
from easynetwork.clients.abc import AbstractNetworkClient
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.errors import too_late
from easynetwork.lowlevel._deadline import Deadline
from easynetwork.lowlevel._forks import ForkSafeLock
from easynetwork.lowlevel.api_sync.endpoints.datagram import DatagramEndpoint
from easynetwork.lowlevel.api_sync.endpoints.stream import StreamEndpoint
from easynetwork.lowlevel.api_sync.transports._owned_socket import SocketOwner
from easynetwork.lowlevel.socket import SocketAttribute, SocketProxy

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_Endpoint = TypeVar("_T_Endpoint", bound="StreamEndpoint[Any, Any] | DatagramEndpoint[Any, Any]")


class BlockingClient(
    AbstractNetworkClient[_T_SentPacket, _T_ReceivedPacket], Generic[_T_SentPacket, _T_ReceivedPacket, _T_Endpoint]
):
    """A connected client. Its methods are thread-safe. Senders take turns, and so do receivers.

    Parameters:
        sock: the socket, owned by *transport*.
        transport: the transport. The client closes it.
        endpoint: sends and receives packets over *transport*.
    """

    __slots__ = ("_closed", "_endpoint", "_receive_lock", "_send_lock", "_sock", "_socket_proxy", "_transport")

    def __init__(self, sock: _socket.socket, transport: SocketOwner, endpoint: _T_Endpoint) -> None:
        self._sock = sock
        self._transport = transport
        self._endpoint = endpoint
        self._send_lock = ForkSafeLock()  # also held while closing
        self._receive_lock = ForkSafeLock()
        self._socket_proxy = SocketProxy(endpoint.extra(SocketAttribute.socket), lock=self._send_lock.get)
        self._closed = False

    def __del__(self) -> None:
        transport: SocketOwner | None = getattr(self, "_transport", None)
        if transport is not None and not transport.is_closed():
            try:
                warnings.warn(f"unclosed client {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:
                transport._close_abruptly()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_endpoint', None)!r}>"

    # ----------------------------------------------------------------------------------------------------- exchanging

    def send_packet(self, packet: _T_SentPacket, *, timeout: float | None = None) -> None:
        """Send *packet*. Packets of several threads are never interleaved, but their order is undefined.

        Parameters:
            packet: the packet.
            timeout: maximum number of seconds, including the wait for other threads; None for no limit. After a
                timeout, any part of the packet may have been sent.

        Raises:
            TimeoutError: the packet was not sent in time.
            ValueError: *timeout* is negative or NaN.
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection broke.
            RuntimeError: the protocol object crashed, or the sending direction was closed before. Nothing was sent.
            OSError: the datagram is too long (``EMSGSIZE``), or the network reported an error, for example
                ``ECONNREFUSED`` if there was no socket to receive an earlier datagram.
        """
        lock = self._send_lock.lock
        if self._closed or not lock.acquire(False):
            timeout = self._acquire(lock, timeout)
        try:
            self._endpoint.send_packet(packet, timeout=timeout)
        except OSError as exc:
            self._raise_client_error(exc)
        finally:
            lock.release()

    def recv_packet(self, *, timeout: float | None = None) -> _T_ReceivedPacket:
        """Receive the next packet. Each packet goes to one of the waiting threads.

        Parameters:
            timeout: maximum number of seconds, including the wait for other threads; None for no limit. After a
                timeout, the data received so far is kept for the next call.

        Raises:
            TimeoutError: no packet arrived in time.
            ValueError: *timeout* is negative or NaN.
            ClientClosedError: the client is closed, or was closed during the call.
            IncompletePacketError: the peer closed the connection in the middle of a packet.
            ConnectionAbortedError: the connection broke, the peer closed it, or the stream cannot continue: a packet
                failed, and only its parser knew where the next one starts.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            DatagramProtocolParseError: an invalid datagram was received.
            RuntimeError: the protocol object crashed.
            OSError: the network reported an error.
        """
        lock = self._receive_lock.lock
        if self._closed or not lock.acquire(False):
            timeout = self._acquire(lock, timeout)
        try:
            packet: _T_ReceivedPacket = self._endpoint.recv_packet(timeout=timeout)
            return packet
        except OSError as exc:
            self._raise_client_error(exc)
        finally:
            lock.release()

    def _acquire(self, lock: threading.RLock, timeout: float | None) -> float:
        """Wait for *lock*. Return the rest of *timeout*, in seconds.

        Raises:
            TimeoutError: the lock was not released in time.
            ValueError: *timeout* is negative or NaN.
            ClientClosedError: the client is closed.
        """
        limit = seconds(timeout)
        deadline = Deadline(limit)
        if not lock.acquire(timeout=min(limit, threading.TIMEOUT_MAX)):
            raise too_late("The other threads that use the client did not finish", limit)
        if self._closed:
            lock.release()
            self._check_open()
        return math.inf if limit == math.inf else deadline.remaining()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosedError("The client is closed")

    def _raise_client_error(self, exc: OSError) -> NoReturn:
        raise_client_error(exc, self._closed)

    # -------------------------------------------------------------------------------------------------------- closing

    def is_closed(self) -> bool:
        """Return whether the client is closed. Wait while another thread is sending a packet."""
        with self._send_lock.lock:
            return self._closed

    def close(self) -> None:
        """Wait until other threads have sent their packets, then close the client. Idempotent.

        Threads that are receiving get `ClientClosedError`. In a process that inherited the client by
        :manpage:`fork(2)`, only the descriptor is closed: the connection belongs to the parent.
        """
        with self._send_lock.lock:
            self._closed = True
            try:
                self._transport.close()
            finally:
                lock = self._receive_lock.lock
                if lock.acquire(blocking=False):  # otherwise another thread uses the receive buffer
                    try:
                        self._endpoint.close()
                    finally:
                        lock.release()

    # ---------------------------------------------------------------------------------------------------- information

    def fileno(self) -> int:
        """Return the file descriptor, or -1 if the client is closed."""
        return self._sock.fileno()

    @property
    @final
    def socket(self) -> SocketProxy:
        """A view of the socket; always the same object. Its methods wait while another thread is sending a packet."""
        return self._socket_proxy

    def _extra(self, attribute: Any) -> Any:
        """Return an attribute of the connection. Raise the errors of the methods that return addresses."""
        with self._send_lock.lock:
            self._check_open()
            return self._endpoint.extra(attribute)
