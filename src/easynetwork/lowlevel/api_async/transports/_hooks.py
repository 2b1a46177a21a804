"""The private hooks of transports and listeners. :mod:`easynetwork.lowlevel._hooks` explains the lookup."""

from __future__ import annotations

__all__ = [
    "NO_BATCH",
    "ChunkReceiver",
    "WriteBatch",
    "abort",
    "buffered_bytes",
    "can_carry_tls",
    "chunk_receiver",
    "close_soon",
    "driver_factory",
    "driver_of",
    "expect_input",
    "innermost",
    "keep_names",
    "nowait_sender",
    "read_names",
    "receive_chunk",
    "run_conversations",
    "set_admission",
    "start_tls",
    "write_batch",
]

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from easynetwork.exceptions import TypedAttributeLookupError, UnsupportedOperation
from easynetwork.lowlevel._hooks import find_hook
from easynetwork.lowlevel.socket import SocketAttribute

from . import _pull, _pull_datagrams

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.bytes_queue import SupportsAppend
    from easynetwork.lowlevel._core.datagram_dispatch import DatagramDispatcher
    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel._core.tls_engine import TLSEngine
    from easynetwork.lowlevel.api_async.backend.abc import TaskGroup

    from ._admission import Admission
    from .abc import (
        AsyncDatagramListener,
        AsyncListener,
        AsyncStreamReadTransport,
        AsyncStreamTransport,
        AsyncStreamWriteTransport,
    )

# ------------------------------------------------------------------------------------------------------------- sending


class WriteBatch:
    """Bytes that the transport will send in one write. This base class accepts none."""

    __slots__ = ("capacity", "parts")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        """The bytes to send. Code that appends bytes subtracts their number from `capacity`.

        The compiled module does not count a few small parts, half of a full batch at most.
        """
        self.capacity = 0
        """Number of bytes that may be appended now. For more bytes, call `write_nowait`."""

    def write_nowait(self, data: bytes) -> bool:
        """Accept *data* if that does not require a wait. Return whether it was accepted."""
        return False


NO_BATCH: Final = WriteBatch()


def write_batch(transport: AsyncStreamWriteTransport) -> WriteBatch:
    """Return the batch that accepts bytes without a wait while the transport can.

    The batch collects the packets of one turn of the event loop without the cost of a coroutine. The default accepts
    nothing, and each packet is sent by `send_all_from_iterable`.
    """
    hook = getattr(type(transport), "_hook_write_batch", None)  # an inlined `find_hook`, for faster connections
    if hook is None:
        return NO_BATCH
    batch: WriteBatch = hook(transport)
    return batch


# ----------------------------------------------------------------------------------------------------------- receiving

ChunkReceiver: TypeAlias = "Callable[[SupportsAppend, int], Awaitable[bool]]"
"""Appends received bytes to a queue, and returns false at the end of the stream.

The number is the maximum number of bytes to receive, if the transport can limit it. The function raises the errors of
`recv`. A cancelled call loses no data. A transport may append the bytes in the callback of the event loop that delivers
them.
"""


def chunk_receiver(transport: AsyncStreamReadTransport) -> ChunkReceiver | None:
    """Return a function that receives chunks from *transport*, if that is never slower than receiving into a buffer.

    The default is None. Then use `receive_chunk` for a protocol object that takes ``bytes``, and `recv_into` for one
    that provides a buffer.
    """
    hook = getattr(type(transport), "_hook_chunk_receiver", None)
    if hook is None:
        return None
    receiver: ChunkReceiver | None = hook(transport)
    return receiver


async def receive_chunk(transport: AsyncStreamReadTransport, queue: SupportsAppend, bufsize: int) -> bool:
    """Do what a `ChunkReceiver` does with `recv`."""
    chunk = await transport.recv(bufsize)
    if chunk:
        queue.append(chunk)
    return bool(chunk)


def driver_of(transport: AsyncStreamTransport, dispatcher: StreamDispatcher[Any]) -> Driver:
    """Return the driver that runs *dispatcher* with the bytes that *transport* receives. Call this once per connection.

    The default driver awaits ``recv()`` or ``recv_into()``.
    """
    return driver_factory(type(transport))(transport, dispatcher)


def driver_factory(
    transport_type: type[AsyncStreamTransport],
) -> Callable[[AsyncStreamTransport, StreamDispatcher[Any]], Driver]:
    """Return the function that does what `driver_of` does, for transports of this type."""
    factory: Callable[[Any, StreamDispatcher[Any]], Driver]
    factory = getattr(transport_type, "_hook_driver", None) or _pull.PullingDriver
    return factory


# ------------------------------------------------------------------------------------------------ the life of a stream


def expect_input(transport: AsyncStreamTransport) -> None:
    """Tell *transport* that the peer has sent bytes that will not be delivered, and may send more.

    A graceful close then waits for a limited time until the peer ends the stream too. Otherwise, the peer might lose
    the last bytes sent to it. Unread input in the socket has the same effect without this call. The default does
    nothing.
    """
    hook = find_hook(transport, "_hook_expect_input")
    if hook is not None:
        hook(transport)


def abort(transport: AsyncStreamTransport) -> None:
    """Close *transport* at once, and reset the connection if it has a reset.

    The default raises `UnsupportedOperation`: a transport is closed by awaiting ``aclose()``.
    """
    hook = find_hook(transport, "_hook_abort")
    if hook is None:
        raise UnsupportedOperation("The transport of this client cannot be aborted")
    hook(transport)


def close_soon(transport: AsyncStreamTransport) -> bool:
    """Start a graceful close. Return whether it completes in the next turn of the event loop without `aclose`.

    If the result is false, call `aclose`. The default returns false and does nothing. Only a task that is about to end
    may call this: the transport is then closed before any other task learns that the task has ended.
    """
    hook = getattr(type(transport), "_hook_close_soon", None)
    return hook is not None and hook(transport)


def keep_names(transport: AsyncStreamTransport) -> Callable[[AsyncStreamTransport], tuple[Any, Any]]:
    """Return a function that returns the addresses of the socket and of its peer, even after the transport is closed.

    Call the function with *transport*: the connections share it, to save memory. The addresses have the form that
    :mod:`socket` uses. The default reads them now, from the typed attributes.

    Raises:
        TypedAttributeLookupError: an address does not exist or no longer exists, or the transport is closed.
    """
    hook = getattr(type(transport), "_hook_keep_names", None)
    if hook is None:
        return read_names(transport)
    names: Callable[[AsyncStreamTransport], tuple[Any, Any]] = hook(transport)
    return names


def read_names(transport: AsyncStreamTransport) -> Callable[[AsyncStreamTransport], tuple[Any, Any]]:
    """Do what `keep_names` does with typed attributes."""
    facts = transport.extra_attributes
    try:
        get_names = facts[SocketAttribute.sockname], facts[SocketAttribute.peername]
    except KeyError:
        raise TypedAttributeLookupError("The transport does not know the addresses of its socket") from None
    names = get_names[0](), get_names[1]()
    return lambda _: names


def innermost(transport: AsyncStreamTransport) -> AsyncStreamTransport:
    """Return the transport that *transport*, with all its layers of encryption, sends and receives by.

    The default is *transport* itself.
    """
    hook = getattr(type(transport), "_hook_innermost", None)
    if hook is None:
        return transport
    inner: AsyncStreamTransport = hook(transport)
    return inner


def buffered_bytes(transport: AsyncStreamTransport) -> tuple[int, int]:
    """Return how many bytes are received but not decoded, and how many the system has not taken yet to send them.

    The default is zeros.
    """
    hook = getattr(type(transport), "_hook_buffered_bytes", None)
    if hook is None:
        return 0, 0
    numbers: tuple[int, int] = hook(transport)
    return numbers


def can_carry_tls(transport: AsyncStreamTransport) -> bool:
    """Return whether `start_tls` does the handshake, so that *transport* and its driver carry plaintext afterwards."""
    return find_hook(transport, "_hook_start_tls") is not None


async def start_tls(
    transport: AsyncStreamTransport, engine: TLSEngine, shutdown_timeout: float, received: bytes
) -> bool:
    """Do the TLS handshake on *transport*. Return whether *transport* carries plaintext from now on.

    The default does nothing and returns false. The caller must then encrypt and decrypt the bytes itself.

    The driver of *transport*, if it has one, gets plaintext from now on.

    Parameters:
        transport: the connection.
        engine: encrypts and decrypts.
        shutdown_timeout: seconds that `aclose` waits for the closing alert of the peer.
        received: bytes that were taken from *transport* before, but belong to the handshake.

    Raises:
        ssl.SSLError: the handshake failed.
        OSError: the connection broke.
    """
    hook = find_hook(transport, "_hook_start_tls")
    return hook is not None and await hook(transport, engine, shutdown_timeout, received)


# ----------------------------------------------------------------------------------------------------------- accepting


def set_admission(listener: AsyncListener[AsyncStreamTransport], admission: Admission) -> bool:
    """Let *admission* decide about each connection before it costs a task. Return false if *listener* cannot do that.

    The default returns false and does nothing.
    """
    hook = find_hook(listener, "_hook_set_admission")
    return hook is not None and hook(listener, admission)


# ----------------------------------------------------------------------------------------------------------- datagrams


def nowait_sender(listener: AsyncDatagramListener[Any]) -> Callable[[bytes, Any], bool]:
    """Return a function that sends a datagram to an address without a wait, and returns whether it was sent.

    If the datagram was not sent, await `send_to`. The function raises the errors of `send_to`. The default function
    never sends anything.
    """
    hook = find_hook(listener, "_hook_send_nowait")
    if hook is None:
        return _send_nothing
    send: Callable[[bytes, Any], bool] = hook.__get__(listener)
    return send


def _send_nothing(datagram: bytes, address: Any) -> bool:
    return False


async def run_conversations(
    listener: AsyncDatagramListener[Any], dispatcher: DatagramDispatcher[Any], task_group: TaskGroup | None
) -> NoReturn:
    """Pass the datagrams that *listener* receives to the conversations of a server, until cancelled or closed.

    The listener chooses the tasks. The default runs a task for each datagram, as `serve` does.
    """
    hook = find_hook(listener, "_hook_run_conversations")
    run: Callable[..., Coroutine[Any, Any, NoReturn]] = _pull_datagrams.run_conversations if hook is None else hook
    await run(listener, dispatcher, task_group)
