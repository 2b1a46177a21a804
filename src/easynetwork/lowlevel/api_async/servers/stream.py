"""A packet server on top of any stream listener."""

from __future__ import annotations

__all__ = ["AsyncStreamServer", "ConnectedStreamClient"]

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, final

from typing_extensions import TypeVar

from easynetwork._checks import check_strictly_positive, check_timeouts, seconds
from easynetwork.exceptions import BusyResourceError, UnsupportedOperation
from easynetwork.lowlevel._backend_hooks import cancellation_detector
from easynetwork.lowlevel._core.errors import HandshakeTimeoutError
from easynetwork.lowlevel._core.faults import Origin, closes_coroutine, split_fault
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator, refuse_none, single_generator
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory, packet_encoder
from easynetwork.lowlevel._core.stream_decoders.counting import CountingDecoder
from easynetwork.lowlevel._core.stream_dispatch import NEVER_YIELDED, Driver, Ending, StreamDispatcher
from easynetwork.lowlevel._core.tls_engine import check_ssl_context
from easynetwork.lowlevel._core.traffic import Traffic
from easynetwork.lowlevel._records import log, log_fault
from easynetwork.lowlevel._sockets.lingering import count_unread_input
from easynetwork.lowlevel.api_async._packet_streams import PacketSender
from easynetwork.lowlevel.api_async.transports._admission import Admission
from easynetwork.lowlevel.api_async.transports._hooks import (
    abort,
    buffered_bytes,
    can_carry_tls,
    chunk_receiver,
    close_soon,
    driver_factory,
    expect_input,
    set_admission,
)
from easynetwork.lowlevel.api_async.transports._pull import PullingDriver
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully
from easynetwork.lowlevel.request_handler import RecvParams
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.protocol import AnyStreamProtocolType, BufferedStreamProtocol

from ._server import Server

if TYPE_CHECKING:
    from ssl import SSLContext

    from easynetwork.lowlevel.api_async.backend.abc import TaskGroup

_logger = logging.getLogger(__name__)

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")
_T_Received = TypeVar("_T_Received", default=Any)
_T_NewResponse = TypeVar("_T_NewResponse")
_T_NewReceived = TypeVar("_T_NewReceived")


class ServedClient(PacketSender[_T_Response], Generic[_T_Response, _T_Received]):
    """A client of a server: the driver of its requests, and the methods to answer them."""

    __slots__ = ("_dispatcher", "_driver")

    _transport: AsyncStreamTransport

    def __init__(
        self,
        transport: AsyncStreamTransport,
        encode: Callable[[_T_Response], bytes],
        dispatcher: StreamDispatcher[Any],
        driver: Driver,
    ) -> None:
        super().__init__(transport, encode)
        self._dispatcher = dispatcher
        self._driver: Final = driver

    async def aclose(self) -> None:
        """Send all pending data, then close the connection. A cancelled call closes abruptly.

        Received requests that are not yet handled are dropped.

        Raises:
            BusyResourceError: another task is sending or closing.
        """
        async with self._alone():
            if self._dispatcher.is_interrupting():
                expect_input(self._transport)
            self._dispatcher.stop()
            try:
                await self._transport.aclose()
            except OSError as exc:
                self._has_failed(exc)
                raise

    # --------------------------------------------------------------------------------------- receiving without a yield

    async def recv_packet(self, *, timeout: float | None = None) -> _T_Received:
        """Receive the next packet. `AsyncStreamClient.recv_packet` says how it goes together with ``yield``.

        Raise the same errors, but for a client that this side has closed a `ConnectionAbortedError`.
        """
        limit = seconds(timeout)
        if self._dispatcher.is_receiving:
            raise BusyResourceError("recv_packet() is already waiting for a packet")
        requests = self._driver.requests
        packet: _T_Received
        if requests is None or requests.gi_frame is None:
            packet = await self._receive_outside(limit)
        elif requests.gi_running or self._dispatcher.is_stepped:  # the caller is one of its generators
            packet = await self._dispatcher.receive(limit)
        else:
            raise RuntimeError("recv_packet() must be awaited in the task of the connection, not in another one")
        return packet

    async def _receive_outside(self, limit: float) -> Any:
        """Receive a packet outside of the generators of the handler: in a coroutine that its server awaits."""
        packets: list[Any] = []

        async def receive_one() -> HandlerGenerator[Any]:
            packets.append((yield limit))

        await self._driver.run(single_generator(receive_one()))
        if not packets:
            raise self._dispatcher.end_of_stream()
        return packets.pop()

    # -------------------------------------------------------------------------------------------- protocols that change

    def set_protocol(
        self, protocol: AnyStreamProtocolType[_T_NewResponse, _T_NewReceived], /
    ) -> ServedClient[_T_NewResponse, _T_NewReceived]:
        """Exchange the protocol object, as `AsyncStreamClient.set_protocol` does."""
        dispatcher = self._dispatcher
        by_chunks = chunk_receiver(self._transport) is not None
        decoder = decoder_factory(protocol, dispatcher.max_recv_size, by_chunks=by_chunks)()
        encode = packet_encoder(protocol)
        if (traffic := dispatcher.traffic) is not None:
            decoder, encode = CountingDecoder(decoder, traffic), traffic.counting_sent(encode)
        self._check_not_waiting()
        dispatcher.set_decoder(decoder)
        self._set_encoder(encode)
        client: ServedClient[Any, Any] = self
        return client

    async def start_tls(
        self,
        ssl: SSLContext,
        /,
        *,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        ssl_standard_compatible: bool | None = None,
    ) -> None:
        """Upgrade the connection to TLS, as `AsyncStreamClient.start_tls` does."""
        check_ssl_context(ssl, server_side=True)
        check_timeouts(ssl_handshake_timeout=ssl_handshake_timeout, ssl_shutdown_timeout=ssl_shutdown_timeout)
        async with self._alone():
            self._check_not_waiting()
            try:
                await self._upgrade(
                    self._transport,
                    self._dispatcher.take_undelivered,
                    ssl_context=ssl,
                    handshake_timeout=ssl_handshake_timeout,
                    shutdown_timeout=ssl_shutdown_timeout,
                    server_side=True,
                    standard_compatible=ssl_standard_compatible is not False,
                )
            except TimeoutError as exc:
                late = HandshakeTimeoutError("The TLS handshake took too long")
                self._has_failed(late)
                raise late from exc
            except OSError as exc:
                self._has_failed(exc)
                raise
            self._driver.set_transport(self._transport)

    def abort(self) -> None:
        """Close the connection at once, as `AsyncStreamClient.abort` does."""
        self._dispatcher.stop()
        abort(self._transport)

    async def send_eof(self) -> None:
        """Close the sending direction after all packets are sent. Requests still arrive. Idempotent.

        Raises:
            BusyResourceError: another task is sending or closing.
            UnsupportedOperation: the transport cannot close one direction only (TLS).
            OSError: the connection broke.
        """
        await self._end_sending(self._transport.send_eof)

    def _check_can_upgrade(self) -> None:
        super()._check_can_upgrade()
        if not (isinstance(self._driver, PullingDriver) or can_carry_tls(self._transport)):
            raise UnsupportedOperation("The transport of this client cannot be upgraded to TLS")

    def _is_waiting(self) -> bool:
        return self._dispatcher.awaits_request(self._driver.requests)

    def _check_not_waiting(self) -> None:
        if self._is_waiting():
            raise BusyResourceError("A packet is being waited for")

    # ----------------------------------------------------------------------------------------------------------- errors

    def _has_failed(self, exc: OSError) -> None:
        self._dispatcher.claim(exc)

    def is_draining(self) -> bool:
        """Return whether the server is draining: it closes the connection when the next request has not begun."""
        return self._dispatcher.is_draining

    def drain(self) -> None:
        """Close the connection as soon as its handler waits for a request of which nothing has arrived."""
        self._begin_drain()
        self._driver.look_again()

    def _begin_drain(self) -> None:
        """Do the part of `drain` that is enough before the first generator."""
        sock = self._transport.extra(SocketAttribute.socket, None)
        unread = 0 if sock is None else count_unread_input(sock.fileno())
        received, _ = buffered_bytes(self._transport)
        is_busy = self._driver.requests is not None and not self._is_waiting()
        self._dispatcher.drain(is_busy=is_busy, unread=unread + received)

    @property
    def error_origin(self) -> Origin | None:
        """The ``Origin`` that marks the errors of this connection; None before the first error."""
        return self._dispatcher.origin


@final
class ConnectedStreamClient(ServedClient[_T_Response, _T_Received]):
    """A client of an `AsyncStreamServer`, as its handler sees it. Only the server creates instances."""

    __slots__ = ()


class ConnectionHandler(ABC):
    """Base class of handlers of whole connections. `AsyncStreamServer.serve` accepts an instance as its callback.

    The instance chooses the generators that receive the requests. The alternative, one generator that relays the
    requests to other generators, adds to the cost of each packet.
    """

    client_type: type[ServedClient[Any]] = ConnectedStreamClient
    """The class of the client objects."""

    @abstractmethod
    def handle_connection(self, client: Any, /) -> Awaitable[Ending | None] | None:
        """Return what handles the requests of a new client: the result of `client._driver.run`, or what awaits it.

        Return None to close the connection at once. The task of the connection calls this.
        """
        raise NotImplementedError

    @abstractmethod
    def connection_is_over(self, client: Any, /) -> None:
        """Note that the requests of a client have been handled. The connection is closed afterwards."""
        raise NotImplementedError

    def report(self, client: Any, fault: BaseException, /) -> None:
        """Log *fault*, which ended the handling of the requests."""
        log_fault(_logger, client._transport, fault, client.error_origin)


class AsyncStreamServer(Server, Generic[_T_Request, _T_Response]):
    """A server that exchanges packets with the clients that a listener accepts.

    Parameters:
        listener: accepts the connections. The server owns it.
        protocol: the protocol object that encodes and decodes packets.
        max_recv_size: the number of bytes to read at once. asyncio and uvloop may read up to 256 KiB.

    Raises:
        TypeError: *listener* or *protocol* has the wrong type.
        ValueError: *max_recv_size* is not a strictly positive integer.
    """

    __slots__ = ("_admission", "_counts_traffic", "_encode", "_make_buffer_decoder", "_make_decoder", "_max_recv_size")

    _transport: AsyncListener[AsyncStreamTransport]

    def __init__(
        self,
        listener: AsyncListener[AsyncStreamTransport],
        protocol: AnyStreamProtocolType[_T_Response, _T_Request],
        max_recv_size: int,
    ) -> None:
        if not isinstance(listener, AsyncListener):
            raise TypeError(f"Expected an AsyncListener object, got {listener!r}")
        self._make_decoder = decoder_factory(protocol, max_recv_size)
        self._make_buffer_decoder = (
            decoder_factory(protocol, max_recv_size, by_chunks=False)
            if isinstance(protocol, BufferedStreamProtocol)
            else None
        )
        self._encode = packet_encoder(protocol)
        self._max_recv_size = max_recv_size
        self._admission: Admission | None = None
        self._counts_traffic = False
        super().__init__(listener)

    async def serve(
        self,
        client_connected_cb: Callable[
            [ConnectedStreamClient[_T_Response]], AsyncGenerator[float | RecvParams | None, _T_Request]
        ],
        task_group: TaskGroup | None = None,
        *,
        disconnect_error_filter: Callable[[Exception], bool] | None = None,
        ancillary_bufsize: int | None = None,
    ) -> NoReturn:
        """Serve clients until cancelled or closed.

        Parameters:
            client_connected_cb: returns the asynchronous generator that handles the requests of one client. Each
                ``yield`` returns the next request. The yielded value is the maximum time to wait for it: None for no
                limit, a number of seconds, or `RecvParams`. Errors of the wait are raised at the ``yield``. The
                generator runs in one task. An exception that the generator raises is logged and ends the connection,
                unless it is `SystemExit`, `KeyboardInterrupt` or the cancellation of that task.
            task_group: the group for the tasks of the clients. If None, the call creates its own.
            disconnect_error_filter: returns whether an error means that the client has left. Such an error closes the
                generator, like the end of the stream, and is not raised at the ``yield``.
            ancillary_bufsize: the buffer size for ancillary data, in bytes. None if the handler does not ask for it.

        Raises:
            ValueError: *ancillary_bufsize* is not a strictly positive integer.
            BusyResourceError: another task is already serving.
            OSError: ``EBADF`` if the server is closed.
        """
        if ancillary_bufsize is not None:
            check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
        if isinstance(client_connected_cb, ConnectionHandler):
            handler: ConnectionHandler = client_connected_cb
        else:
            handler = _OneGenerator(client_connected_cb)
        await self._serve(handler, task_group, disconnect_error_filter, ancillary_bufsize)

    async def _serve(
        self,
        handler: ConnectionHandler,
        task_group: TaskGroup | None,
        disconnect_error_filter: Callable[[Exception], bool] | None,
        ancillary_bufsize: int | None,
    ) -> NoReturn:
        client_type = handler.client_type
        make_decoder, make_buffer_decoder = self._make_decoder, self._make_buffer_decoder
        max_recv_size, encode, counts_traffic = self._max_recv_size, self._encode, self._counts_traffic

        # Of the last transport. Looking them up for each connection takes time, as isinstance() with an abstract class.
        accepted_type: type[Any] | None = None
        new_driver: Any = None

        async def refuse(connection: object) -> None:
            raise TypeError(f"The listener must accept AsyncStreamTransport objects, got {connection!r}")

        def serve_client(transport: AsyncStreamTransport) -> Coroutine[Any, Any, None]:
            # Set the driver before the coroutine starts: reads are cheaper with a driver from the first read on.
            nonlocal accepted_type, new_driver
            if type(transport) is not accepted_type:
                if not isinstance(transport, AsyncStreamTransport):
                    return refuse(transport)
                accepted_type = type(transport)
                new_driver = driver_factory(accepted_type)
            make = make_decoder
            if make_buffer_decoder is not None and chunk_receiver(transport) is None:
                make = make_buffer_decoder
            decoder, encode_ = make(), encode
            if counts_traffic:
                traffic = Traffic()
                decoder, encode_ = CountingDecoder(decoder, traffic), traffic.counting_sent(encode)
            dispatcher = StreamDispatcher(decoder, max_recv_size, ancillary_bufsize, disconnect_error_filter)
            client = client_type(transport, encode_, dispatcher, new_driver(transport, dispatcher))
            return _handle_connection(handler, client)

        serve_accepted: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]] = serve_client
        if self._admission is not None and not set_admission(self._transport, self._admission):
            serve_accepted = self._admission.in_task(serve_client)
        with self._serve_guard:
            await self._transport.serve(serve_accepted, task_group)


async def _handle_connection(handler: ConnectionHandler, client: ServedClient[Any]) -> None:
    """Handle one connection and close it. The task of the connection runs this coroutine."""
    try:
        if (handling := handler.handle_connection(client)) is not None:
            try:
                if await handling is NEVER_YIELDED:
                    await aclose_forcefully(client)
            except BaseException as exc:
                if closes_coroutine(exc):
                    raise  # from this frame, as the check of the outer handler expects
                await end_abruptly(client._transport, exc, partial(handler.report, client))
            finally:
                handler.connection_is_over(client)
        transport = client._transport  # not the first one, if the handler has started TLS
        dispatcher = client._dispatcher
        if dispatcher.is_draining or (not dispatcher.has_ended and dispatcher.is_interrupting()):
            expect_input(transport)
        if not close_soon(transport):
            await _close(transport, client._dispatcher)
    except BaseException as exc:
        await end_abruptly(client._transport, exc, partial(ConnectionHandler.report, handler, client))
    finally:
        if (watched := client._dispatcher.watched) is not None:
            watched.is_over = True


async def _close(transport: AsyncStreamTransport, dispatcher: StreamDispatcher[Any]) -> None:
    try:
        await transport.aclose()
    except Exception as exc:
        if not dispatcher.is_disconnection(exc):
            raise


async def end_abruptly(
    transport: AsyncStreamTransport, exc: BaseException, report: Callable[[BaseException], object]
) -> None:
    """End a connection because of *exc*, the exception being handled. Report the faults in *exc* and raise the rest.

    :mod:`easynetwork.lowlevel._core.faults` defines what a fault is.
    """
    if closes_coroutine(exc):
        raise exc
    is_cancellation = cancellation_detector(transport.backend())
    fault, ending = split_fault(exc, is_cancellation)
    if fault is not None:
        # Report before the first await, where a pending cancellation would be raised and the record would be lost.
        report(fault)
    more_urgent: BaseException | None = None
    try:
        await aclose_forcefully(transport)
    except BaseException as failure:
        fault, more_urgent = split_fault(failure, is_cancellation)
        if fault is not None:
            log(_logger, logging.WARNING, "%s: closing the connection failed", transport, exc_info=fault)
        ending = more_urgent or ending
    if ending is not None:
        try:
            raise ending
        finally:
            del exc, ending, more_urgent  # avoid a reference cycle with the traceback


class _OneGenerator(ConnectionHandler):
    """The connection handler of an ordinary `client_connected_cb`, which returns one generator per connection."""

    def __init__(self, client_connected_cb: Callable[[ConnectedStreamClient[Any]], HandlerGenerator[Any]]) -> None:
        self._client_connected_cb = client_connected_cb

    def handle_connection(self, client: ConnectedStreamClient[Any], /) -> Awaitable[Ending]:
        generator: Any = self._client_connected_cb(client)
        return client._driver.run(single_generator(generator or refuse_none()))

    def connection_is_over(self, client: ConnectedStreamClient[Any], /) -> None:
        if cut := client._dispatcher.describe_cut():
            log(_logger, logging.INFO, "%r: %s", client._transport, cut)
