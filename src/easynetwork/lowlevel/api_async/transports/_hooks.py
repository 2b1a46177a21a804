"""The private hooks of transports and listeners. See :mod:`easynetwork.lowlevel._hooks` for how they are found."""

from __future__ import annotations

__all__ = [
    "NO_BATCH",
    "ChunkReceiver",
    "WriteBatch",
    "chunk_receiver",
    "close_soon",
    "driver_of",
    "expect_input",
    "keep_names",
    "nowait_sender",
    "read_names",
    "receive_chunk",
    "run_conversations",
    "start_tls",
    "write_batch",
]

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._hooks import find_hook
from easynetwork.lowlevel.socket import SocketAttribute

from . import _pull, _pull_datagrams

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.bytes_queue import SupportsAppend
    from easynetwork.lowlevel._core.datagram_dispatch import DatagramDispatcher
    from easynetwork.lowlevel._core.stream_dispatch import Driver, StreamDispatcher
    from easynetwork.lowlevel._core.tls_engine import TLSEngine
    from easynetwork.lowlevel.api_async.backend.abc import TaskGroup

    from .abc import AsyncDatagramListener, AsyncStreamReadTransport, AsyncStreamTransport, AsyncStreamWriteTransport

# ------------------------------------------------------------------------------------------------------------- sending


class WriteBatch:
    """Bytes that are going to be sent in one piece. This base class takes none."""

    __slots__ = ("parts", "room")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        """What is going to be sent. Code that appends something lessens `room` by its size."""
        self.room = 0
        """How many bytes may be appended right now. For more than that, `write_nowait` decides."""

    def write_nowait(self, data: bytes) -> bool:
        """Take *data* if that needs no waiting. Return whether it did."""
        return False


NO_BATCH: Final = WriteBatch()


def write_batch(transport: AsyncStreamWriteTransport) -> WriteBatch:
    """Return what takes bytes to send without waiting, as long as that is possible.

    Packets that leave in the same turn of the event loop go this way, at no cost for a coroutine. The default never
    takes anything: `send_all_from_iterable` is awaited for each packet.
    """
    hook = getattr(type(transport), "_hook_write_batch", None)  # as `find_hook` does: this is asked for each connection
    if hook is None:
        return NO_BATCH
    batch: WriteBatch = hook(transport)
    return batch


# ----------------------------------------------------------------------------------------------------------- receiving

ChunkReceiver: TypeAlias = "Callable[[SupportsAppend, int], Awaitable[bool]]"
"""Receives something into a queue, at most a number of bytes if that can be chosen. Returns false at the end.

It raises what `recv` raises. A cancelled call loses no data. A transport that its event loop calls may append the bytes
in that very call.
"""


def chunk_receiver(transport: AsyncStreamReadTransport) -> ChunkReceiver | None:
    """Return what receives chunks from *transport*, if that is never slower than receiving into a buffer.

    The default is None: `receive_chunk` is for a protocol object that wants ``bytes``, and `recv_into` for one that
    wants its buffer to be filled.
    """
    hook = getattr(type(transport), "_hook_chunk_receiver", None)
    if hook is None:
        return None
    receiver: ChunkReceiver | None = hook(transport)
    return receiver


async def receive_chunk(transport: AsyncStreamReadTransport, queue: SupportsAppend, bufsize: int) -> bool:
    """Do what a `ChunkReceiver` does, by `recv`."""
    chunk = await transport.recv(bufsize)
    if chunk:
        queue.append(chunk)
    return bool(chunk)


def driver_of(transport: AsyncStreamTransport, dispatcher: StreamDispatcher[Any]) -> Driver:
    """Return the driver that runs *dispatcher* on what *transport* receives. Called once per connection.

    The default pulls the bytes out of ``recv()``.
    """
    hook = getattr(type(transport), "_hook_driver", None)
    if hook is None:
        return _pull.PullingDriver(transport, dispatcher)
    driver: Driver = hook(transport, dispatcher)
    return driver


# ------------------------------------------------------------------------------------------------ the life of a stream


def expect_input(transport: AsyncStreamTransport) -> None:
    """Note that the peer was interrupted: it has sent what is never going to be delivered, and may send more.

    A graceful close then waits, not for long, until the peer ends the stream, too. What was sent last might be lost
    otherwise. Input that waits in the socket has the same effect without this call. The default does nothing.
    """
    hook = find_hook(transport, "_hook_expect_input")
    if hook is not None:
        hook(transport)


def close_soon(transport: AsyncStreamTransport) -> bool:
    """Do what `aclose` does if nothing but the next turn of the event loop has to be waited for.

    Return whether that is so; the default is false, and does nothing. To be called by a task that ends then: the
    transport is closed before any other task learns of that end.
    """
    hook = getattr(type(transport), "_hook_close_soon", None)
    return hook is not None and hook(transport)


def keep_names(transport: AsyncStreamTransport) -> Callable[[], tuple[Any, Any]]:
    """Return what tells the addresses of the socket and of its peer, even once the transport is closed.

    They are as :mod:`socket` gives them. The default asks for them now, as typed attributes.

    Raises:
        TypedAttributeLookupError: there is no such address (any more), or the transport is closed.
    """
    hook = getattr(type(transport), "_hook_keep_names", None)
    if hook is None:
        return read_names(transport)
    names: Callable[[], tuple[Any, Any]] = hook(transport)
    return names


def read_names(transport: AsyncStreamTransport) -> Callable[[], tuple[Any, Any]]:
    """Do what `keep_names` does, by typed attributes."""
    facts = transport.extra_attributes
    try:
        get_names = facts[SocketAttribute.sockname], facts[SocketAttribute.peername]
    except KeyError:
        raise TypedAttributeLookupError("The transport does not know the addresses of its socket") from None
    names = get_names[0](), get_names[1]()
    return lambda: names


async def start_tls(transport: AsyncStreamTransport, engine: TLSEngine, shutdown_timeout: float) -> bool:
    """Do the TLS handshake, and carry plaintext from then on; or return false, having done nothing.

    The default does the latter: the ciphertext has to be pulled out of *transport*.

    Parameters:
        transport: the connection.
        engine: turns ciphertext into plaintext and back.
        shutdown_timeout: how many seconds `aclose` waits for the closing alert of the peer.

    Raises:
        ssl.SSLError: the handshake has failed.
        OSError: the connection broke.
    """
    hook = find_hook(transport, "_hook_start_tls")
    return hook is not None and await hook(transport, engine, shutdown_timeout)


# ----------------------------------------------------------------------------------------------------------- datagrams


def nowait_sender(listener: AsyncDatagramListener[Any]) -> Callable[[bytes, Any], bool]:
    """Return a function that sends a datagram to an address if that needs no waiting, and returns whether it did.

    If not, `send_to` is to be awaited. The function raises what `send_to` raises. The default never sends anything.
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
    """Hand what *listener* receives to the conversations of a server, until it is cancelled or closed.

    How that is done is the listener's own business. The default has a task for each datagram, as `serve` has.
    """
    hook = find_hook(listener, "_hook_run_conversations")
    run: Callable[..., Coroutine[Any, Any, NoReturn]] = _pull_datagrams.run_conversations if hook is None else hook
    await run(listener, dispatcher, task_group)
