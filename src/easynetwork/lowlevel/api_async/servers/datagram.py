"""A server of packets on any datagram listener."""

from __future__ import annotations

__all__ = ["AsyncDatagramServer", "DatagramClientContext"]

import logging
from collections.abc import AsyncGenerator, Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._core.datagram_codec import DatagramCodec
from easynetwork.lowlevel._core.datagram_dispatch import Backlog, Clients, DatagramDispatcher
from easynetwork.lowlevel._core.faults import Origin
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
from easynetwork.lowlevel._core.incoming_packets import encoding_crash
from easynetwork.lowlevel._records import log_fault
from easynetwork.lowlevel.api_async.backend._hooks import cancellation_detector
from easynetwork.lowlevel.api_async.transports._hooks import nowait_sender, run_conversations
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.protocol import DatagramProtocol

from ._server import Server

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_Client = TypeVar("_T_Client")
_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Address = TypeVar("_T_Address", bound=Hashable)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class DatagramClientContext(Generic[_T_Response, _T_Address]):
    """A sender of datagrams, as its handler sees it. Equal to any other one of the same address and server."""

    address: _T_Address
    """Where the datagrams come from."""

    server: AsyncDatagramServer[Any, _T_Response, _T_Address]
    """Who has received them, and sends the answers."""

    def backend(self) -> AsyncBackend:
        """Returns the backend of the server."""
        return self.server.backend()


class AsyncDatagramServer(Server, Generic[_T_Request, _T_Response, _T_Address]):
    """Serves packets to all who send datagrams to a listener.

    Parameters:
        listener: receives and sends the datagrams. Owned by the server.
        protocol: what a packet is.

    Raises:
        TypeError: wrong type of *listener* or *protocol*.
    """

    __slots__ = ("_backlog", "_codec", "_make_datagram", "_send_nowait")

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
        super().__init__(listener)

    @property
    def dropped_datagrams(self) -> int:
        """How many datagrams were received and lost, by the system or here, because handlers were too slow for them.

        At most 1 MiB waits for the handler of one sender, and 8 MiB for all; what comes on top of that is dropped. What
        the system has dropped before is in the number as far as the listener knows it.
        """
        return self._transport.dropped_datagrams + self._backlog.dropped

    async def send_packet_to(self, packet: _T_Response, address: _T_Address) -> None:
        """Sends *packet* to *address*, as one datagram. Any task may do so at any time.

        Raises:
            RuntimeError: the protocol object crashed (its exception is the cause). Nothing was sent.
            OSError: the server is closed (``EBADF``), the datagram is too long (``EMSGSIZE``), ...
        """
        try:
            datagram = self._make_datagram(packet)
        except Exception as exc:
            raise encoding_crash(packet, exc) from exc
        if not self._send_nowait(datagram, address):
            await self._transport.send_to(datagram, address)

    async def send_packet_with_ancillary_to(
        self, packet: _T_Response, ancillary_data: Any, address: _T_Address
    ) -> None:
        """Sends *packet* and *ancillary_data* to *address* in one :manpage:`sendmsg(2)`.

        Raises:
            UnsupportedOperation: the listener carries no ancillary data.

        Besides this, all that `send_packet_to` raises.
        """
        await self._transport.send_with_ancillary_to(self._codec.encode(packet), ancillary_data, address)

    async def serve(
        self,
        datagram_received_cb: Callable[
            [DatagramClientContext[_T_Response, _T_Address]], AsyncGenerator[float | RecvParams | None, _T_Request]
        ],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Serves until cancelled or closed.

        The datagrams of one address are handled one after the other, in the order of their reception, those of
        different addresses at the same time.

        Parameters:
            datagram_received_cb: makes the asynchronous generator that handles the datagrams of one sender: the one
                that has come, and more if it wants. Each ``yield`` asks for a packet, and says how long to wait for it:
                None, a number of seconds, or `RecvParams`. What goes wrong meanwhile is raised at the ``yield``. The
                generator runs in one task, and in a copy of the current context. If it returns before its first
                ``yield``, the datagram is discarded. What it raises is logged, unless it is `SystemExit`,
                `KeyboardInterrupt` or the cancellation of that task.
            task_group: where the tasks of the generators live; a private one if None. When the server is closed, those
                in a private one are cancelled; otherwise, those that wait for a packet are closed, the others go on.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF``: the server is closed.
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
        """Like `serve`, on a listener that carries ancillary data.

        Parameters:
            datagram_received_cb: as in `serve`. A ``yield`` of `RecvParams` may claim the ancillary data of a datagram.
            ancillary_bufsize: room for ancillary data, in bytes.
            ancillary_data_unused: called with ancillary data that was not claimed, and the address of the sender. If
                None, the file descriptors in such data are closed.
            task_group: as in `serve`.

        Raises:
            ValueError: *ancillary_bufsize* is no strictly positive integer.
            UnsupportedOperation: the listener carries no ancillary data.

        Besides these, all that `serve` raises.
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
    ) -> NoReturn:
        """Serves whatever *clients* has for the addresses of senders."""
        dispatcher = DatagramDispatcher(
            handler,
            self._codec,
            clients,
            self._backlog,
            on_error,
            cancellation_detector(self.backend()),
            ancillary_bufsize=ancillary_bufsize,
            on_unused=on_unused,
        )
        with self._serve_guard:
            await run_conversations(self._transport, dispatcher, task_group)


def _log_error(address: Hashable, exc: BaseException, origin: Origin | None) -> None:
    log_fault(logging.getLogger(__name__), address, exc, origin)
