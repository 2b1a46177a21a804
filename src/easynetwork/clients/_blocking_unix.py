"""What blocking clients of Unix sockets share."""

from __future__ import annotations

__all__ = ["BlockingUnixClient"]

from typing import Any, Generic, TypeVar

from easynetwork.clients._blocking_client import BlockingClient
from easynetwork.clients._unix_client import UnixClient, ancillary_room
from easynetwork.lowlevel.socket import SocketAncillary

_T_SentPacket = TypeVar("_T_SentPacket")
_T_ReceivedPacket = TypeVar("_T_ReceivedPacket")


class BlockingUnixClient(
    BlockingClient[_T_SentPacket, _T_ReceivedPacket, Any], UnixClient, Generic[_T_SentPacket, _T_ReceivedPacket]
):
    """Packets may have control messages with them."""

    __slots__ = ()

    def send_packet(
        self, packet: _T_SentPacket, *, ancillary_data: SocketAncillary | None = None, timeout: float | None = None
    ) -> None:
        """Sends *packet*. Packets of several threads are never mixed up; they leave in no particular order.

        Parameters:
            packet: what to send.
            ancillary_data: control messages to send with it, in one call of :manpage:`sendmsg(2)`. They stay in the
                container. Open files may be closed when this returns.
            timeout: how many seconds it may take, waiting for other threads included; None for no limit. When it is
                over, it is unknown how much was sent.

        Raises:
            TimeoutError: it has taken too long.
            ValueError: *timeout* is negative or NaN.
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection broke.
            RuntimeError: the protocol object crashed, or the sending direction was closed before. Nothing was sent.
            OSError: ``EMSGSIZE``: *packet* is a datagram that is too long, or does not fit in one call together with
                *ancillary_data*. Or the peer does not exist any more (``ECONNREFUSED``).
        """
        if ancillary_data is None:
            super().send_packet(packet, timeout=timeout)
        else:
            send = self._endpoint.send_packet_with_ancillary
            self._exchange(self._send_lock.lock, timeout, send, packet, ancillary_data.as_raw())

    def recv_packet(
        self,
        *,
        ancillary_data: SocketAncillary | None = None,
        ancillary_bufsize: int | None = None,
        timeout: float | None = None,
    ) -> _T_ReceivedPacket:
        """Receives the next packet. Each packet goes to one of the threads that wait.

        Parameters:
            ancillary_data: where to add the control messages that come with the packet, which is then read at once. The
                caller owns the open files among them. A packet of a stream that had come before, with another one,
                brings none. Without a container, the system drops them.
            ancillary_bufsize: room for control messages, in bytes. By default, for as many as can be of use.
            timeout: how many seconds to wait, for other threads as well; None for no limit. What was received of a
                packet when it is over stays for the next call.

        Raises:
            TimeoutError: no packet has come in time.
            ValueError: *timeout* is negative or NaN; *ancillary_bufsize* is no strictly positive integer, or was given
                without *ancillary_data*.
            ClientClosedError: the client is closed, or was closed meanwhile.
            IncompletePacketError: the peer closed the connection in the middle of a packet.
            ConnectionAbortedError: the connection broke, the peer closed it, or the stream cannot continue: a packet
                failed, and only its parser knew where the next one begins.
            StreamProtocolParseError: invalid bytes were received; the next call goes on after them.
            DatagramProtocolParseError: an invalid datagram was received.
            EOFError: with *ancillary_data*, the packet of a stream did not come as a whole; what came of it is kept.
            OSError: ``EMSGSIZE``: with *ancillary_data*, the system has truncated the control messages, for lack of
                room or of free file descriptors. Those among them are closed; the packet stays for the next call.
            RuntimeError: the protocol object crashed.
        """
        room = ancillary_room(ancillary_data, ancillary_bufsize)
        if ancillary_data is None:
            return super().recv_packet(timeout=timeout)
        receive = self._endpoint.recv_packet_with_ancillary
        packet: _T_ReceivedPacket
        packet = self._exchange(self._receive_lock.lock, timeout, receive, room, ancillary_data.update_from_raw)
        return packet
