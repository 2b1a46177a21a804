"""Base class of the asynchronous clients: connecting, closing and socket information."""

from __future__ import annotations

__all__ = ["BaseAsyncNetworkClient"]

import errno
import socket as _socket
import warnings
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, final

from easynetwork.clients._errors import raise_client_error
from easynetwork.clients.abc import AbstractAsyncNetworkClient
from easynetwork.exceptions import ClientClosedError
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel.api_async.backend._fair_lock import FairLock
from easynetwork.lowlevel.api_async.transports.abc import AsyncBaseTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.socket import SocketAttribute, SocketProxy

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")
_T_Transport = TypeVar("_T_Transport", bound=AsyncBaseTransport)
_T_Endpoint = TypeVar("_T_Endpoint", bound=AsyncBaseTransport)


class BaseAsyncNetworkClient(
    AbstractAsyncNetworkClient[_T_SentPacket, _T_ReceivedPacket],
    Generic[_T_SentPacket, _T_ReceivedPacket, _T_Transport, _T_Endpoint],
):
    """Base class that connects on first use. Subclasses send and receive packets.

    Parameters:
        backend: the asynchronous backend.
        connect: opens the transport with all its layers (TLS). Called again after a failure.
        adopted_socket: the socket that *connect* will use. If the client never connects, closing the client closes it.
    """

    __slots__ = (
        "_adopted_socket",
        "_backend",
        "_closing",
        "_connect",
        "_connect_lock",
        "_connecting",
        "_endpoint",
        "_receive_lock",
        "_send_lock",
        "_socket_proxy",
        "_transport",
    )

    def __init__(
        self,
        backend: AsyncBackend,
        connect: Callable[[], Awaitable[_T_Transport]],
        adopted_socket: _socket.socket | None,
    ) -> None:
        self._backend = backend
        self._connect = connect
        self._adopted_socket = adopted_socket
        self._connect_lock = backend.create_lock()
        self._send_lock = FairLock(backend.create_event)
        self._receive_lock = FairLock(backend.create_event)
        self._connecting: CancelScope | None = None
        self._transport: _T_Transport | None = None
        self._endpoint: _T_Endpoint | None = None  # kept when closed
        self._socket_proxy: SocketProxy | None = None
        self._closing = False

    def __del__(self) -> None:
        endpoint: AsyncBaseTransport | None = getattr(self, "_endpoint", None)
        if endpoint is not None and not endpoint.is_closing():
            warnings.warn(f"unclosed client {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, '_endpoint', None)!r}>"

    # ---------------------------------------------------------------------------------------------------- connecting

    @abstractmethod
    def _new_endpoint(self, transport: _T_Transport) -> _T_Endpoint:
        """Return a new endpoint that sends and receives packets over *transport*."""
        raise NotImplementedError

    def is_connected(self) -> bool:
        return self._endpoint is not None

    async def wait_connected(self) -> None:
        """Connect. Concurrent calls share one attempt. Do nothing if connected. After a failure, try again.

        Raises:
            ExceptionGroup: the `OSError` of each internet address, if none could be connected.
            socket.gaierror: the host is unknown.
            OSError: the Unix socket could not be connected.
            ssl.SSLError: the TLS handshake failed; ``SSLCertVerificationError`` if the cause is a certificate.
            TimeoutError: the TLS handshake took too long.
            ConnectionAbortedError: the connection ended during the TLS handshake.
            ClientClosedError: the client is closed, or was closed during the call.
        """
        if self._endpoint is None or self._closing:
            await self._connected()

    async def _connected(self) -> _T_Endpoint:
        async with self._connect_lock:
            self._check_open()
            if self._endpoint is not None:
                return self._endpoint
            with self._backend.open_cancel_scope() as self._connecting:
                try:
                    transport = await self._connect()
                finally:
                    self._connecting = None
                if self._closing:
                    await aclose_forcefully(transport)
                else:
                    self._transport = transport
                    self._endpoint = self._new_endpoint(transport)
            self._check_open()
            assert self._endpoint is not None
            return self._endpoint

    def _check_open(self) -> None:
        if self._closing:
            raise ClientClosedError("The client is closed")

    def _raise_client_error(self, exc: OSError) -> NoReturn:
        raise_client_error(exc, self._closing)

    # ------------------------------------------------------------------------------------------------------- closing

    def is_closing(self) -> bool:
        return self._closing

    async def aclose(self) -> None:
        """Wait until other tasks have sent their packets, then close the client. Idempotent.

        Tasks that are connecting or receiving get `ClientClosedError`. If this call is cancelled, the connection is
        closed abruptly.
        """
        if self._connecting is not None:
            self._closing = True
            self._connecting.cancel()
        try:
            async with self._send_lock:
                self._closing = True
                if self._endpoint is not None:
                    await self._endpoint.aclose()
        except BaseException:
            self._closing = True
            if self._transport is not None and not self._transport.is_closing():
                # Closing the endpoint is not possible here: another task may be sending through it.
                await aclose_forcefully(self._transport)
            raise
        finally:
            if self._endpoint is None and self._adopted_socket is not None:
                self._adopted_socket.close()

    # --------------------------------------------------------------------------------------------------- information

    def backend(self) -> AsyncBackend:
        return self._backend

    @property
    @final
    def socket(self) -> SocketProxy:
        """A view of the socket; always the same object.

        Raises `AttributeError` if the client is not connected, or if the first access is after the client was closed.
        """
        if self._socket_proxy is None:
            if self._endpoint is None or self._closing:
                raise AttributeError("The client is not connected: await wait_connected() before accessing its socket")
            self._socket_proxy = SocketProxy(self._endpoint.extra(SocketAttribute.socket))
        return self._socket_proxy

    def _extra(self, attribute: Any) -> Any:
        """Return an attribute of the connection. Raise the errors of the methods that return addresses."""
        self._check_open()
        if self._endpoint is None:
            raise error_from_errno(errno.ENOTCONN, "await wait_connected() first")
        return self._endpoint.extra(attribute)
