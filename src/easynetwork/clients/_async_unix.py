"""Base class of the asynchronous Unix clients."""

from __future__ import annotations

__all__ = ["AsyncUnixClient"]

from typing import Any, Generic, TypeVar

from easynetwork.clients._async_client import BaseAsyncNetworkClient
from easynetwork.clients._unix_client import UnixClient, ancillary_room
from easynetwork.lowlevel.socket import SocketAncillary

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class AsyncUnixClient(
    BaseAsyncNetworkClient[_T_SentPacket, _T_ReceivedPacket, Any, Any],
    UnixClient,
    Generic[_T_SentPacket, _T_ReceivedPacket],
):
    """Packets with optional control messages. Mix this into a class that handles packets without control messages."""

    __slots__ = ()

    async def send_packet(self, packet: _T_SentPacket, *, ancillary_data: SocketAncillary | None = None) -> None:
        """Send *packet*. Connect first if necessary. Packets of several tasks are sent in the order of the calls.

        Wait only while the send buffer or the peer's queue is full. If this call is cancelled, any part of the packet
        may have been sent.

        Parameters:
            packet: the packet.
            ancillary_data: control messages to send with the packet in one call of :manpage:`sendmsg(2)`. The container
                is not modified. Its files may be closed after this method returns.

        Raises:
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection of a stream broke.
            RuntimeError: the protocol object crashed, or the sending direction was closed before. Nothing was sent.
            OSError: ``EMSGSIZE``: *packet* is a datagram that is too long, or does not fit in one call together with
                *ancillary_data*. ``ECONNREFUSED``: the peer's datagram socket is closed.
        """
        if ancillary_data is None:
            await super().send_packet(packet)  # type: ignore[safe-super]  # the method of the other base class
            return
        async with self._send_lock:
            endpoint = await self._connected()
            try:
                await endpoint.send_packet_with_ancillary(packet, ancillary_data.as_raw())
            except OSError as exc:
                self._raise_client_error(exc)

    async def recv_packet(
        self, *, ancillary_data: SocketAncillary | None = None, ancillary_bufsize: int | None = None
    ) -> _T_ReceivedPacket:
        """Receive the next packet. Connect first if necessary. Each packet goes to one of the waiting tasks.

        If this call is cancelled, the data received so far is kept for the next call.

        Parameters:
            ancillary_data: container for the control messages of the packet. The packet must arrive in one read. The
                caller owns the received file descriptors. A stream packet that has already arrived in the same read as
                an earlier packet has no control messages. Without a container, the system drops control messages.
            ancillary_bufsize: buffer size for control messages, in bytes; about 8 KiB if None.

        Raises:
            ClientClosedError: the client is closed, or was closed during the call.
            IncompletePacketError: the peer closed the connection in the middle of a packet.
            ConnectionAbortedError: the connection of a stream broke, the peer closed it, or the stream cannot continue:
                a packet failed, and only its parser knew where the next one starts.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            DatagramProtocolParseError: an invalid datagram was received.
            EOFError: with *ancillary_data*, one read did not complete the packet of a stream. The data read is kept.
            OSError: ``EMSGSIZE``: with *ancillary_data*, the system truncated the control messages, for lack of buffer
                space or of free file descriptors. Received descriptors are closed; the next call returns the packet.
            RuntimeError: the protocol object crashed.
            ValueError: *ancillary_bufsize* is not a strictly positive integer, or was given without *ancillary_data*.
        """
        room = ancillary_room(ancillary_data, ancillary_bufsize)
        packet: _T_ReceivedPacket
        if ancillary_data is None:
            packet = await super().recv_packet()  # type: ignore[safe-super]  # the method of the other base class
            return packet
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet = await endpoint.recv_packet_with_ancillary(room, ancillary_data.update_from_raw)
            except OSError as exc:
                self._raise_client_error(exc)
            return packet
