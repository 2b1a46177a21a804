"""Base class of the blocking Unix clients."""

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
    """Packets with optional control messages."""

    __slots__ = ()

    def send_packet(
        self, packet: _T_SentPacket, *, ancillary_data: SocketAncillary | None = None, timeout: float | None = None
    ) -> None:
        """Send *packet*. Packets of several threads are never interleaved, but their order is undefined.

        Parameters:
            packet: the packet.
            ancillary_data: control messages to send with the packet in one call of :manpage:`sendmsg(2)`. The container
                is not modified. Its files may be closed after this method returns.
            timeout: maximum number of seconds, including the wait for other threads; None for no limit. After a
                timeout, any part of the packet may have been sent.

        Raises:
            TimeoutError: the packet was not sent in time.
            ValueError: *timeout* is negative or NaN.
            ClientClosedError: the client is closed.
            ConnectionAbortedError: the connection broke.
            RuntimeError: the protocol object crashed, or the sending direction was closed before. Nothing was sent.
            OSError: ``EMSGSIZE``: *packet* is a datagram that is too long, or does not fit in one call together with
                *ancillary_data*. ``ECONNREFUSED``: the peer's datagram socket is closed.
        """
        if ancillary_data is None:
            super().send_packet(packet, timeout=timeout)
            return
        lock = self._send_lock.lock
        timeout = self._acquire(lock, timeout)
        try:
            self._endpoint.send_packet_with_ancillary(packet, ancillary_data.as_raw(), timeout=timeout)
        except OSError as exc:
            self._raise_client_error(exc)
        finally:
            lock.release()

    def recv_packet(
        self,
        *,
        ancillary_data: SocketAncillary | None = None,
        ancillary_bufsize: int | None = None,
        timeout: float | None = None,
    ) -> _T_ReceivedPacket:
        """Receive the next packet. Each packet goes to one of the waiting threads.

        Parameters:
            ancillary_data: container for the control messages of the packet. The packet must arrive in one read. The
                caller owns the received file descriptors. A stream packet that has already arrived in the same read as
                an earlier packet has no control messages. Without a container, the system drops control messages.
            ancillary_bufsize: buffer size for control messages, in bytes; about 8 KiB if None.
            timeout: maximum number of seconds, including the wait for other threads; None for no limit. After a
                timeout, the data received so far is kept for the next call.

        Raises:
            TimeoutError: no packet arrived in time.
            ValueError: *timeout* is negative or NaN; *ancillary_bufsize* is not a strictly positive integer, or was
                given without *ancillary_data*.
            ClientClosedError: the client is closed, or was closed during the call.
            IncompletePacketError: the peer closed the connection in the middle of a packet.
            ConnectionAbortedError: the connection broke, the peer closed it, or the stream cannot continue: a packet
                failed, and only its parser knew where the next one starts.
            StreamProtocolParseError: invalid bytes were received. The next call continues after them.
            DatagramProtocolParseError: an invalid datagram was received.
            EOFError: with *ancillary_data*, one read did not complete the packet of a stream. The data read is kept.
            OSError: ``EMSGSIZE``: with *ancillary_data*, the system truncated the control messages, for lack of buffer
                space or of free file descriptors. Received descriptors are closed; the next call returns the packet.
            RuntimeError: the protocol object crashed.
        """
        room = ancillary_room(ancillary_data, ancillary_bufsize)
        if ancillary_data is None:
            return super().recv_packet(timeout=timeout)
        lock = self._receive_lock.lock
        timeout = self._acquire(lock, timeout)
        try:
            packet: _T_ReceivedPacket = self._endpoint.recv_packet_with_ancillary(
                room, ancillary_data.update_from_raw, timeout=timeout
            )
            return packet
        except OSError as exc:
            self._raise_client_error(exc)
        finally:
            lock.release()
