"""Base class of the asynchronous stream clients."""

from __future__ import annotations

__all__ = ["BaseAsyncStreamClient"]

import socket as _socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from easynetwork.clients._arguments import stream_bufsize
from easynetwork.clients._async_client import BaseAsyncNetworkClient
from easynetwork.clients._errors import raise_stream_client_error
from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._core.errors import stream_error
from easynetwork.lowlevel._core.stream_decoders.choice import check_stream_protocol
from easynetwork.lowlevel._core.stream_decoders.interface import NEED_DATA
from easynetwork.lowlevel.api_async._packet_streams import PacketReceiver
from easynetwork.lowlevel.api_async.endpoints.stream import AsyncStreamEndpoint
from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport
from easynetwork.protocol import AnyStreamProtocolType

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class BaseAsyncStreamClient(
    BaseAsyncNetworkClient[_T_SentPacket, _T_ReceivedPacket, AsyncStreamTransport, AsyncStreamEndpoint[Any, Any]],
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """Packets over a stream transport.

    Tasks may send and receive concurrently. Senders take turns, and so do receivers.

    Parameters:
        backend: the asynchronous backend.
        connect: opens the transport with all its layers (TLS).
        adopted_socket: the socket that *connect* will use.
        protocol: the protocol object.
        max_recv_size: the number of bytes to read at once; 16 KiB if None. asyncio and uvloop may read up to 256 KiB.

    Raises:
        TypeError: *protocol* is not a stream protocol object.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """

    __slots__ = ("_max_recv_size", "_protocol")

    def __init__(
        self,
        backend: AsyncBackend,
        connect: Callable[[], Awaitable[AsyncStreamTransport]],
        adopted_socket: _socket.socket | None,
        protocol: AnyStreamProtocolType[_T_SentPacket, _T_ReceivedPacket],
        max_recv_size: int | None,
    ) -> None:
        self._max_recv_size = stream_bufsize(protocol, max_recv_size)
        super().__init__(backend, connect, adopted_socket)
        self._protocol = protocol

    def _new_endpoint(self, transport: AsyncStreamTransport) -> AsyncStreamEndpoint[_T_SentPacket, _T_ReceivedPacket]:
        return AsyncStreamEndpoint(transport, self._protocol, self._max_recv_size)

    async def send_packet(self, packet: _T_SentPacket) -> None:
        """Send *packet*. Connect first if necessary. Packets of several tasks are sent in the order of the calls.

        Wait only while the send buffer is full. If this call is cancelled, any part of the packet may have been sent.

        Raises:
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection broke.
            RuntimeError: the protocol object crashed, or `send_eof` was called before. Nothing was sent.

        It also raises all errors of `wait_connected` if it connects.
        """
        endpoint = self._endpoint
        if endpoint is None or self._closing or self._send_lock.taken:
            self._check_open()  # a close may hold the lock for long
            async with self._send_lock:
                endpoint = await self._connected()
                try:
                    await endpoint.send_packet(packet)
                except OSError as exc:
                    self._raise_client_error(exc)
        elif (data := endpoint.send_nowait(packet)) is not None:
            async with self._send_lock:
                try:
                    await endpoint._send_slowly(data)
                except OSError as exc:
                    self._raise_client_error(exc)

    def _set_protocol(self, protocol: AnyStreamProtocolType[Any, Any]) -> None:
        """Do what `set_protocol` does in each of the subclasses."""
        check_stream_protocol(protocol)
        self._check_open()
        self._check_not_receiving()
        if self._endpoint is not None:
            self._endpoint.set_protocol(protocol)
        self._protocol = protocol

    async def _start_tls(self, tls_options: Mapping[str, Any]) -> None:
        """Connect if necessary, then upgrade to TLS. The options are those of `AsyncTLSStreamTransport.wrap`."""
        async with self._send_lock:
            endpoint = await self._connected()
            self._check_not_receiving()
            async with self._receive_lock:
                try:
                    with self._backend.open_cancel_scope() as self._connecting:
                        await endpoint._start_tls(**tls_options)
                        self._transport = endpoint._transport
                        endpoint.set_protocol(self._protocol)
                except OSError as exc:
                    self._raise_client_error(exc)
                finally:
                    self._connecting = None
                    if endpoint.is_closing():  # the handshake failed or was cancelled
                        self._closing = True
                self._check_open()

    def _check_not_receiving(self) -> None:
        if self._receive_lock.taken:
            raise BusyResourceError("Another task is receiving")

    async def send_eof(self) -> None:
        """Close the sending direction. Receiving remains possible. Idempotent. Do nothing on a closed client.

        Raises:
            ConnectionAbortedError: the connection broke.
        """
        if self._closing:  # a close may hold the lock for long
            return
        async with self._send_lock:
            if self._closing:
                return
            endpoint = self._endpoint or await self._connected()
            try:
                await endpoint.send_eof()
            except OSError as exc:
                self._raise_client_error(exc)

    async def recv_packet(self) -> _T_ReceivedPacket:
        """Receive the next packet. Connect first if necessary. Each packet goes to one of the waiting tasks.

        If this call is cancelled, the data received so far is kept for the next call.

        Raises:
            ClientClosedError: the client is closed, or was closed during the call.
            IncompletePacketError: the peer closed the connection in the middle of a packet.
            ConnectionAbortedError: the connection broke, the peer closed it, or the stream cannot continue: a packet
                failed, and only its parser knew where the next one starts.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            RuntimeError: the protocol object crashed.

        It also raises all errors of `wait_connected` if it connects.
        """
        endpoint, lock = self._endpoint, self._receive_lock
        if endpoint is None or self._closing or lock.taken:
            return await self._receive_in_turn()
        receiver: PacketReceiver[_T_ReceivedPacket] = endpoint._receiver
        packet = receiver.next_packet()
        if packet is not NEED_DATA:
            return packet
        lock.taken = True
        try:
            while packet is NEED_DATA:
                if receiver.has_ended:
                    receiver.check_ended()
                receiver.has_ended = not await receiver.receive_more()
                packet = receiver.next_packet()
            return packet
        except OSError as exc:
            self._raise_client_error(exc)
        finally:
            lock.release()

    async def _receive_in_turn(self) -> _T_ReceivedPacket:
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet: _T_ReceivedPacket = await endpoint.recv_packet()
            except OSError as exc:
                self._raise_client_error(exc)
            return packet

    def _raise_client_error(self, exc: OSError) -> NoReturn:
        raise_stream_client_error(stream_error(exc), self._closing)
