"""A packet server on any datagram listener."""

from __future__ import annotations

__all__ = ["AsyncDatagramServer", "DatagramClientContext"]

import errno
import logging
from collections.abc import AsyncGenerator, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._backend_hooks import cancellation_detector
from easynetwork.lowlevel._core.conversation_limit import ConversationLimit
from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
from easynetwork.lowlevel._core.datagram_dispatch import Backlog, Clients, DatagramDispatcher
from easynetwork.lowlevel._core.errors import UnanswerableError
from easynetwork.lowlevel._core.faults import Origin
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
from easynetwork.lowlevel._core.incoming_packets import encoding_crash
from easynetwork.lowlevel._core.traffic import Traffic
from easynetwork.lowlevel._records import log_fault
from easynetwork.lowlevel._sockets.ancillary import close_descriptors
from easynetwork.lowlevel.api_async.transports._hooks import nowait_sender, run_conversations
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import DatagramProtocol

from ._server import Server

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_INVALID_ADDRESS: Final = (errno.EINVAL, errno.EADDRNOTAVAIL)
"""What systems say about a destination with port 0."""

_T_Client = TypeVar("_T_Client")
_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Address = TypeVar("_T_Address", bound=Hashable)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class DatagramClientContext(Generic[_T_Response, _T_Address]):
    """The sender of a datagram, as its handler sees it. Contexts with the same address and server are equal."""

    address: _T_Address
    """The address of the sender."""

    server: AsyncDatagramServer[Any, _T_Response, _T_Address]
    """The server that received the datagram and sends the answers."""

    def backend(self) -> AsyncBackend:
        """Return the backend of the server."""
        return self.server.backend()


class AsyncDatagramServer(Server, Generic[_T_Request, _T_Response, _T_Address]):
    """A server that exchanges packets with all peers that send datagrams to a listener.

    Parameters:
        listener: receives and sends the datagrams. The server owns it.
        protocol: parses requests and serializes responses.

    Raises:
        TypeError: *listener* or *protocol* has the wrong type.
    """

    __slots__ = ("_backlog", "_codec", "_dispatcher", "_make_datagram", "_send_nowait")

    _transport: AsyncDatagramListener[_T_Address]

    def __init__(
        self, listener: AsyncDatagramListener[_T_Address], protocol: DatagramProtocol[_T_Response, _T_Request]
    ) -> None:
        if not isinstance(listener, AsyncDatagramListener):
            raise TypeError(f"Expected an AsyncDatagramListener object, got {listener!r}")
        self._codec: DatagramCodec[_T_Response, _T_Request] = DatagramCodec(protocol)
        self._make_datagram = self._codec.make
        self._send_nowait = nowait_sender(listener)
        self._backlog = Backlog()
        self._dispatcher: DatagramDispatcher[Any] | None = None  # of the last `serve`
        super().__init__(listener)

    def _count_traffic(self, traffic: Traffic) -> None:
        """Count all packets in *traffic* from now on."""
        self._codec.count_traffic(traffic)
        self._make_datagram = self._codec.make

    @property
    def dropped_datagrams(self) -> int:
        """The number of datagrams dropped by the system or this server, because handlers were too slow.

        At most 1 MiB of datagrams waits per sender, and 8 MiB in total, where each datagram counts as its size plus 128
        bytes. Further datagrams are dropped. The number includes datagrams dropped by the system if the listener knows
        it.
        """
        return self._transport.dropped_datagrams + self._backlog.dropped

    async def send_packet_to(self, packet: _T_Response, address: _T_Address) -> None:
        """Send *packet* to *address* as one datagram. Any task may call this at any time.

        Raises:
            RuntimeError: the protocol object raised an unexpected exception (the cause). Nothing was sent.
            OSError: for example if the server is closed (``EBADF``), the datagram is too long (``EMSGSIZE``), or the
                port of the address is 0 (``EINVAL`` on Linux).
        """
        datagram = self._send_packet_nowait(packet, address)
        if datagram is not None:
            await self._send_to(datagram, address)

    def _send_packet_nowait(self, packet: _T_Response, address: _T_Address) -> bytes | None:
        """Do the part of `send_packet_to` that does not wait. Return the datagram if it is left to send, or None."""
        try:
            datagram = self._make_datagram(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc
        try:
            return None if self._send_nowait(datagram, address) else datagram
        except OSError as exc:
            _raise_if_unanswerable(exc, address)
            raise

    async def _send_to(self, datagram: bytes, address: _T_Address) -> None:
        try:
            await self._transport.send_to(datagram, address)
        except OSError as exc:
            _raise_if_unanswerable(exc, address)
            raise

    async def send_packet_with_ancillary_to(
        self, packet: _T_Response, ancillary_data: Any, address: _T_Address
    ) -> None:
        """Send *packet* and *ancillary_data* to *address* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: the listener does not support ancillary data.

        It also raises all errors of `send_packet_to`.
        """
        await self._transport.send_with_ancillary_to(self._codec.encode(packet), ancillary_data, address)

    async def serve(
        self,
        datagram_received_cb: Callable[
            [DatagramClientContext[_T_Response, _T_Address]], AsyncGenerator[float | RecvParams | None, _T_Request]
        ],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Serve until cancelled or closed.

        Datagrams of one address are handled one at a time, in the order of reception. Different addresses are handled
        concurrently.

        Parameters:
            datagram_received_cb: the handler. It returns the asynchronous generator that handles the datagrams of one
                sender: the first one, and more if the generator asks for them. Each ``yield`` requests a packet and
                sets the time to wait for it: None, a number of seconds, or `RecvParams`. Errors are raised at the
                ``yield``. The generator runs in one task, in a copy of the current context. If it returns before its
                first ``yield``, the datagram is discarded. Its exceptions are logged, except for `SystemExit`,
                `KeyboardInterrupt` and the cancellation of the task.
            task_group: the group for the tasks of the generators. If None, the call creates its own, and closing the
                server cancels its tasks. Otherwise, closing the server closes the generators that wait for a packet,
                and the others continue.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF`` if the server is closed.
        """
        await self._serve(datagram_received_cb, self._contexts(), _log_error, task_group)

    async def serve_with_ancillary(
        self,
        datagram_received_cb: Callable[
            [DatagramClientContext[_T_Response, _T_Address]], AsyncGenerator[float | RecvParams | None, _T_Request]
        ],
        ancillary_bufsize: int,
        ancillary_data_unused: Callable[[Any, _T_Address], object] | None = None,
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Serve like `serve`, on a listener that supports ancillary data.

        Parameters:
            datagram_received_cb: as in `serve`. A ``yield`` of `RecvParams` may claim the ancillary data of a datagram.
            ancillary_bufsize: the buffer size for ancillary data, in bytes.
            ancillary_data_unused: called with ancillary data that no ``yield`` claimed, and the address of the sender.
                If None, the file descriptors in such data are closed.
            task_group: as in `serve`.

        Raises:
            ValueError: *ancillary_bufsize* is not a strictly positive integer.
            UnsupportedOperation: the listener does not support ancillary data.

        It also raises all errors of `serve`.
        """
        check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
        await self._serve(
            datagram_received_cb,
            self._contexts(),
            _log_error,
            task_group,
            ancillary_bufsize=ancillary_bufsize,
            on_unused=ancillary_data_unused,
        )

    def _contexts(self) -> Clients[DatagramClientContext[_T_Response, _T_Address]]:
        return Clients(lambda address: DatagramClientContext(address, self))

    async def _serve(
        self,
        handler: Callable[[_T_Client], HandlerGenerator[_T_Request]],
        clients: Clients[_T_Client],
        on_error: Callable[[Any, BaseException, Origin | None], object],
        task_group: TaskGroup | None,
        *,
        ancillary_bufsize: int | None = None,
        on_unused: Callable[[Any, Any], object] | None = None,
        limit: ConversationLimit | None = None,
    ) -> NoReturn:
        """Serve with the client objects that *clients* creates for the addresses of senders."""
        dispatcher = DatagramDispatcher(
            handler,
            self._codec,
            clients,
            self._backlog,
            on_error,
            cancellation_detector(self.backend()),
            ancillary_bufsize=ancillary_bufsize,
            on_unused=on_unused or _close_descriptors,
            limit=limit,
        )
        with self._serve_guard:
            self._dispatcher = dispatcher
            await run_conversations(self._transport, dispatcher, task_group)

    def _end_conversations(self) -> bool:
        """Close the generators that wait for a datagram. Return whether others are still busy."""
        reception = None if self._dispatcher is None else self._dispatcher.reception
        if reception is None:
            return False
        reception.end()
        return self._count_conversations() > 0

    def _count_conversations(self) -> int:
        reception = None if self._dispatcher is None else self._dispatcher.reception
        return 0 if reception is None else reception.count_conversations()


def _raise_if_unanswerable(exc: OSError, address: Hashable) -> None:
    """Raise `UnanswerableError` from *exc*, the error of a send, if the port of *address* is the reason."""
    if exc.errno in _INVALID_ADDRESS and isinstance(address, tuple) and len(address) > 1 and address[1] == 0:
        raise UnanswerableError(exc.errno, address) from exc


def _close_descriptors(ancillary_data: Any, address: Hashable) -> None:
    close_descriptors(ancillary_data)


def _log_error(address: Hashable, exc: BaseException, origin: Origin | None) -> None:
    log_fault(logging.getLogger(__name__), address, exc, origin)
