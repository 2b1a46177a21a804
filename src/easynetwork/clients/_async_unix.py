"""What the asynchronous clients of Unix sockets share."""

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
    """Packets may have control messages with them. To be mixed into a class that sends and receives those without."""

    __slots__ = ()

    async def send_packet(self, packet: _T_SentPacket, *, ancillary_data: SocketAncillary | None = None) -> None:
        """Sends *packet*. Connects first, if need be. Packets of several tasks leave in the order of the calls.

        Waits only while there is no room for it. If cancelled, it is unknown how much was sent.

        Parameters:
            packet: what to send.
            ancillary_data: control messages to send with it, in one call of :manpage:`sendmsg(2)`. They stay in the
                container. Open files may be closed when this returns.

        Raises:
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection of a stream broke.
            RuntimeError: the protocol object crashed, or the sending direction was closed before. Nothing was sent.
            OSError: ``EMSGSIZE``: *packet* is a datagram that is too long, or does not fit in one call together with
                *ancillary_data*. Or nobody receives datagrams there any more (``ECONNREFUSED``).
        """
        if ancillary_data is None:
            await super().send_packet(packet)  # type: ignore[safe-super]  # that of the other class
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
        """Receives the next packet. Connects first, if need be. Each packet goes to one of the tasks that wait.

        A cancelled call loses nothing: what was received so far stays for the next one.

        Parameters:
            ancillary_data: where to add the control messages that come with the packet, which is then read at once. The
                caller owns the open files among them. A packet of a stream that had come before, with another one,
                brings none. Without a container, the system drops them.
            ancillary_bufsize: room for control messages, in bytes. By default, for as many as can be of use.

        Raises:
            ClientClosedError: the client is closed, or was closed meanwhile.
            IncompletePacketError: the peer closed the connection in the middle of a packet.
            ConnectionAbortedError: the connection of a stream broke, the peer closed it, or the stream cannot continue:
                a packet failed, and only its parser knew where the next one begins.
            StreamProtocolParseError: invalid bytes were received; the next call goes on after them.
            DatagramProtocolParseError: an invalid datagram was received.
            EOFError: with *ancillary_data*, the packet of a stream did not come as a whole; what came of it is kept.
            OSError: ``EMSGSIZE``: with *ancillary_data*, the system has truncated the control messages, for lack of
                room or of free file descriptors. Those among them are closed; the packet stays for the next call.
            RuntimeError: the protocol object crashed.
            ValueError: *ancillary_bufsize* is no strictly positive integer, or was given without *ancillary_data*.
        """
        room = ancillary_room(ancillary_data, ancillary_bufsize)
        packet: _T_ReceivedPacket
        if ancillary_data is None:
            packet = await super().recv_packet()  # type: ignore[safe-super]  # that of the other class
            return packet
        async with self._receive_lock:
            endpoint = await self._connected()
            try:
                packet = await endpoint.recv_packet_with_ancillary(room, ancillary_data.update_from_raw)
            except OSError as exc:
                self._raise_client_error(exc)
            return packet
