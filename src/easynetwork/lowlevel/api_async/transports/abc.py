"""What an asynchronous transport has to offer. Subclass these to bring a transport of your own."""

from __future__ import annotations

__all__ = [
    "AsyncBaseTransport",
    "AsyncDatagramListener",
    "AsyncDatagramReadTransport",
    "AsyncDatagramTransport",
    "AsyncDatagramWriteTransport",
    "AsyncListener",
    "AsyncStreamReadTransport",
    "AsyncStreamTransport",
    "AsyncStreamWriteTransport",
    "WriteBatch",
]

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel import typed_attr
from easynetwork.lowlevel.socket import SocketAttribute

from . import _pull, _pull_datagrams

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import WriteableBuffer

    from easynetwork.lowlevel._conversations import DatagramDispatcher
    from easynetwork.lowlevel._dispatch import RequestDispatcher, RequestRunner
    from easynetwork.lowlevel._framing import SupportsAppend
    from easynetwork.lowlevel._tls_engine import TLSEngine
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup

_T_co = TypeVar("_T_co", covariant=True)
_T_Address = TypeVar("_T_Address")


class AsyncBaseTransport(typed_attr.TypedAttributeProvider, metaclass=ABCMeta):
    """What all transports, listeners, endpoints and low-level servers have in common.

    ``async with`` closes on exit.
    """

    __slots__ = ("__weakref__",)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    @abstractmethod
    async def aclose(self) -> None:
        """Close gracefully: what was accepted for sending is sent first.

        A byte stream whose peer has sent what was not received discards that, until the peer ends the stream, too, or
        for some seconds. The peer would lose the end of what it was sent otherwise.

        Idempotent. If cancelled, the transport is closed at once, unsent data is lost, and the cancellation propagates.
        """
        raise NotImplementedError

    @abstractmethod
    def is_closing(self) -> bool:
        """Returns true as soon as `aclose` was called. A connection that broke is not closing by that alone."""
        raise NotImplementedError

    @abstractmethod
    def backend(self) -> AsyncBackend:
        """Returns the backend this object works with."""
        raise NotImplementedError


class AsyncStreamReadTransport(AsyncBaseTransport):
    """The receiving direction of a byte stream."""

    __slots__ = ()

    async def recv(self, bufsize: int) -> bytes:
        """Receives at least one byte and at most *bufsize* bytes.

        A cancelled call loses no data.

        Returns:
            The bytes; ``b""`` at the end of the stream, and for a *bufsize* of 0, which waits for nothing.

        Raises:
            ValueError: *bufsize* is negative.
            BusyResourceError: another task is receiving.
            OSError: the connection broke or the transport is closed.
        """
        if bufsize == 0:
            return b""
        if bufsize < 0:
            raise ValueError(f"'bufsize' must not be negative, got {bufsize}")
        buffer = bytearray(bufsize)
        nbytes = await self.recv_into(buffer)
        if nbytes < 0:
            raise RuntimeError("recv_into() returned a negative number of bytes")
        return bytes(memoryview(buffer)[:nbytes])

    @abstractmethod
    async def recv_into(self, buffer: WriteableBuffer) -> int:
        """Receives at least one byte into *buffer*, a writable contiguous buffer.

        Returns:
            The number of bytes written; 0 at the end of the stream, and for an empty *buffer*, which waits for nothing.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    async def _recv_chunk(self, queue: SupportsAppend, bufsize: int) -> bool:
        """Receives something into *queue*, by the shortest way. A cancelled call loses no data.

        A transport that is called by its event loop may append the bytes in that very call.

        Parameters:
            queue: takes the bytes.
            bufsize: how many bytes to read at once, if that can be chosen.

        Returns:
            False at the end of the stream.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: the connection broke or the transport is closed.
        """
        chunk = await self.recv(bufsize)
        if chunk:
            queue.append(chunk)
        return bool(chunk)

    async def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Like `recv`, together with ancillary data: a list of ``(level, type, data)`` as :manpage:`recvmsg(2)` gives.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. What it left is closed; the bytes stay for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    async def recv_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        """Like `recv_into`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. What it left is closed; the bytes stay for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class AsyncStreamWriteTransport(AsyncBaseTransport):
    """The sending direction of a byte stream."""

    __slots__ = ()

    @abstractmethod
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends *data*, any contiguous buffer of bytes.

        Returns when the data was accepted for sending and no more than a bounded amount waits in memory. If cancelled,
        it is unknown how much was sent.

        Raises:
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    async def send_all_from_iterable(self, iterable_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Sends several pieces as one. The iterable is consumed before the first byte is sent."""
        await self.send_all(b"".join(iterable_of_data))

    async def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        """Sends all pieces together with *ancillary_data* in one :manpage:`sendmsg(2)`.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the data does not fit in one call.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")

    def _write_batch(self) -> WriteBatch:
        """Returns what takes bytes to send without waiting, if that is possible.

        Packets that leave in the same turn of the event loop go this way, at no cost for a coroutine. By default it
        never takes anything, and `send_all` is awaited for each packet.
        """
        return _NO_BATCH


class WriteBatch:
    """Bytes that are going to be sent in one piece. As it is: one that takes none."""

    __slots__ = ("parts", "room")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        """What is going to be sent. Who appends something lessens `room` by its size."""
        self.room = 0
        """How many bytes may be appended right now. For more than that, `write_nowait` decides."""

    def write_nowait(self, data: bytes) -> bool:
        """Takes bytes if they need not wait; returns whether it did."""
        return False


_NO_BATCH: Final = WriteBatch()


class AsyncStreamTransport(AsyncStreamWriteTransport, AsyncStreamReadTransport):
    """A byte stream in both directions."""

    __slots__ = ()

    @abstractmethod
    async def send_eof(self) -> None:
        """Sends what was accepted, then closes the sending direction. Receiving stays possible.

        Raises:
            UnsupportedOperation: the transport cannot be closed in one direction only (TLS).
        """
        raise NotImplementedError

    def _keep_names(self) -> Callable[[], tuple[Any, Any]]:
        """Returns what tells the addresses of the socket and of its peer, even once the transport is closed.

        They are as :mod:`socket` gives them. By default they are asked for now, as typed attributes.

        Raises:
            TypedAttributeLookupError: there is no such address (any more), or the transport is closed.
        """
        facts = self.extra_attributes
        names = facts[SocketAttribute.sockname](), facts[SocketAttribute.peername]()
        return lambda: names

    def _expect_input(self) -> None:
        """Note that the peer was interrupted: it has sent what is never going to be delivered, and may send more.

        A graceful close then waits, not for long, until the peer ends the stream, too. What was sent last might be lost
        otherwise. Input that waits in the socket has the same effect without this call. By default, nothing is done.
        """

    def _close_soon(self) -> bool:
        """Does what `aclose` does if nothing but the next turn of the event loop has to be waited for.

        Returns whether it does; by default not, and nothing is done. To be called by a task that ends then: before
        anybody learns of that end, the transport is closed.
        """
        return False

    def _request_runner(self, dispatcher: RequestDispatcher[Any]) -> RequestRunner:
        """Returns what awaits ``dispatcher.run()``, and feeds it with what this transport receives. Called once.

        How that is done is the transport's own business. By default, received bytes are pulled.
        """
        return _pull.PullingDriver(self, dispatcher).run

    async def _start_tls(self, engine: TLSEngine, shutdown_timeout: float) -> bool:
        """Does the TLS handshake, and carries plaintext from then on; or returns false, having done nothing.

        By default, the latter: ciphertext is pulled out of this transport.

        Parameters:
            engine: turns ciphertext into plaintext and back.
            shutdown_timeout: how many seconds `aclose` waits for the closing alert of the peer.

        Raises:
            ssl.SSLError: the handshake has failed.
            OSError: the connection broke.
        """
        return False


class AsyncDatagramReadTransport(AsyncBaseTransport):
    """The receiving direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    async def recv(self) -> bytes:
        """Receives one datagram; an empty one is a datagram like any other.

        Raises:
            BusyResourceError: another task is receiving.
            OSError: the transport is closed, or the network reported an error.
        """
        raise NotImplementedError

    async def recv_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Like `recv`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            OSError: ``EMSGSIZE``: the system has truncated the ancillary data, for lack of room or of free file
                descriptors. What it left is closed; the bytes stay for the next call.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")


class AsyncDatagramWriteTransport(AsyncBaseTransport):
    """The sending direction of a datagram socket."""

    __slots__ = ()

    @abstractmethod
    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Sends one datagram.

        Raises:
            OSError: the transport is closed, the datagram is too long (``EMSGSIZE``), or the network reported an error.
        """
        raise NotImplementedError

    async def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        """Like `send`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")


class AsyncDatagramTransport(AsyncDatagramWriteTransport, AsyncDatagramReadTransport):
    """Datagrams to and from one peer."""

    __slots__ = ()


class AsyncListener(AsyncBaseTransport, Generic[_T_co]):
    """Accepts connections."""

    __slots__ = ()

    @abstractmethod
    async def serve(
        self,
        handler: Callable[[_T_co], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Accepts connections until cancelled or closed; each is handed to *handler* in a task of its own.

        Parameters:
            handler: gets the transport of the new connection, and owns it.
            task_group: where the tasks live; a private one if None.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF``: the listener is closed.
        """
        raise NotImplementedError


class AsyncDatagramListener(AsyncBaseTransport, Generic[_T_Address]):
    """Receives datagrams from anyone and sends to anyone."""

    __slots__ = ()

    @abstractmethod
    async def serve(
        self,
        handler: Callable[[bytes, _T_Address], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Receives datagrams until cancelled or closed; each is handed to *handler* in a task of its own.

        The tasks are started in the order of reception.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF``: the listener is closed.
        """
        raise NotImplementedError

    async def serve_with_ancillary(
        self,
        handler: Callable[[bytes, Any | None, _T_Address], Coroutine[Any, Any, None]],
        ancillary_bufsize: int,
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Like `serve`; *handler* also gets the ancillary data of the datagram.

        If the system has truncated that, iterating over it raises `OSError` (``EMSGSIZE``), and its descriptors are
        closed already.

        Raises:
            UnsupportedOperation: this listener carries no ancillary data.
        """
        raise UnsupportedOperation("This listener does not support receiving ancillary data")

    @property
    def dropped_datagrams(self) -> int:
        """How many datagrams were received and lost, because nobody has read them in time. 0 if that is not known.

        The sockets of this library know it on Linux, exactly. Once the listener is closed, the last number.
        """
        return 0

    @abstractmethod
    async def send_to(self, data: bytes | bytearray | memoryview, address: _T_Address) -> None:
        """Sends one datagram to *address*. Many tasks may do so at once.

        Raises:
            OSError: the listener is closed (``EBADF``), the datagram is too long (``EMSGSIZE``), ...
        """
        raise NotImplementedError

    async def send_with_ancillary_to(
        self, data: bytes | bytearray | memoryview, ancillary_data: Any, address: _T_Address
    ) -> None:
        """Like `send_to`, together with ancillary data.

        Raises:
            UnsupportedOperation: this listener carries no ancillary data.
        """
        raise UnsupportedOperation("This listener does not support sending ancillary data")

    def _send_nowait(self, datagram: bytes, address: _T_Address) -> bool:
        """Sends *datagram* if that is possible without waiting. Returns false if `send_to` is to be awaited instead.

        Raises what `send_to` raises.
        """
        return False

    async def _run_conversations(self, dispatcher: DatagramDispatcher[Any], task_group: TaskGroup | None) -> NoReturn:
        """Hands what this listener receives to the conversations of a server, until cancelled or closed.

        How that is done is the listener's own business. By default, each datagram has a task, as in `serve`.
        """
        await _pull_datagrams.run_conversations(self, dispatcher, task_group)
