"""The dispatcher of datagrams: it runs the handler's generators for each sender, without I/O.

All datagrams from one address form a *conversation*. One generator at a time handles them, in order of arrival. A
driver passes received datagrams to the conversations and resumes their coroutines.
"""

from __future__ import annotations

__all__ = ["Backlog", "Clients", "Conversation", "DatagramDispatcher", "Reception"]

import types
import weakref
from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams

from .ancillary import TruncatedMessages, hand_over
from .conversation_limit import ConversationLimit
from .datagram_codec import DatagramCodec
from .errors import UnanswerableError
from .faults import Origin, closes_coroutine, partition, split_fault
from .handler_generators import (
    HandedOver,
    HandlerGenerator,
    abandon_generator,
    end_generator,
    not_a_generator,
    parse_yielded,
    unregistered_generators,
)
from .requirements import DATAGRAM, IDLE, NO_MORE, STEPS_PER_TURN, TURN, Wait

_T_Client = TypeVar("_T_Client")


class Backlog:
    """The size of all datagrams that wait for busy handlers, its limits, and the number of dropped datagrams."""

    __slots__ = ("dropped", "of_all", "of_one_sender", "size")

    OF_ONE_SENDER: Final = 1024 * 1024
    OF_ALL: Final = 8 * 1024 * 1024

    EXTRA: Final = 128
    """Memory that a datagram takes in addition to its bytes, in bytes."""

    def __init__(self) -> None:
        self.of_one_sender = Backlog.OF_ONE_SENDER
        """Limit per sender, in bytes."""
        self.of_all = Backlog.OF_ALL
        """Limit for all senders together, in bytes."""
        self.size = 0
        self.dropped = 0
        """Number of datagrams that were received and dropped."""


class Clients(Generic[_T_Client]):
    """The client objects of senders. An address has the same object as long as a handler keeps a reference to it."""

    __slots__ = ("_kept", "_new")

    def __init__(self, new: Callable[[Any], _T_Client]) -> None:
        self._new = new
        self._kept: weakref.WeakValueDictionary[Any, _T_Client] | None = None  # None while no handler keeps a client

    def at(self, address: Any) -> _T_Client:
        """Return the client at *address*. Create it if there is none."""
        if self._kept is not None and (client := self._kept.get(address)) is not None:
            return client
        return self._new(address)

    def keep(self, address: Any, client: _T_Client) -> None:
        """Remember *client*, which is still in use after its generator ended, for the next generator."""
        if not address:  # a Unix socket without a name: the address does not identify the sender
            return
        if self._kept is None:
            self._kept = weakref.WeakValueDictionary()
        self._kept[address] = client


class Reception(Protocol):
    """A driver: it passes received datagrams to conversations."""

    def end(self) -> None:
        """Close the generators that wait for a datagram, also those that will wait later."""

    def count_conversations(self) -> int:
        """Return the number of senders whose generator runs, or whose datagrams wait for one."""


class DatagramDispatcher(Generic[_T_Client]):
    """The state that all conversations of a server share."""

    __slots__ = (
        "_is_cancellation",
        "_on_error",
        "_on_unused",
        "ancillary_bufsize",
        "backlog",
        "clients",
        "codec",
        "handler",
        "limit",
        "reception",
    )

    def __init__(
        self,
        handler: Callable[[_T_Client], HandlerGenerator[Any]],
        codec: DatagramCodec[Any, Any],
        clients: Clients[_T_Client],
        backlog: Backlog,
        on_error: Callable[[Hashable, BaseException, Origin | None], object],
        is_cancellation: Callable[[BaseException], bool],
        *,
        ancillary_bufsize: int | None = None,
        on_unused: Callable[[Any, Any], object] | None = None,
        limit: ConversationLimit | None = None,
    ) -> None:
        self.handler: Final = handler
        self.codec: Final = codec
        self.clients: Final = clients
        self.backlog: Final = backlog
        self._on_error = on_error
        self._is_cancellation = is_cancellation
        self.ancillary_bufsize: Final = ancillary_bufsize
        """The buffer size for ancillary data, in bytes. Unless it is None, drivers pass pairs: a datagram and its
        ancillary data, or None."""
        self._on_unused = on_unused
        self.limit: Final = limit
        """The limit of the number of conversations, which the driver keeps."""
        self.reception: Reception | None = None
        """The driver. None before it starts."""

    def settle(self, address: Hashable, exc: BaseException, origin: Origin | None = None) -> None:
        """Report the faults in *exc*, which user code raised, and raise the rest."""
        fault, ending = split_fault(exc, self._is_cancellation)
        if fault is not None:
            self._on_error(address, fault, origin)
        if ending is not None:
            try:
                raise ending
            finally:
                del exc, ending  # avoid a reference cycle with the traceback

    def give_unused(self, ancillary_data: Any, address: Any) -> None:
        """Call *on_unused* with ancillary data that no handler asked for.

        Raises:
            RuntimeError: *on_unused* raised an exception (the cause).
        """
        if self._on_unused is None or ancillary_data is None or isinstance(ancillary_data, TruncatedMessages):
            return
        try:
            self._on_unused(ancillary_data, address)
        except Exception as exc:
            raise RuntimeError("The callback for unused ancillary data failed") from exc

    def discard(self, ancillary_data: Any, address: Any) -> None:
        """Call `give_unused` and report its error, because no generator can receive it."""
        try:
            self.give_unused(ancillary_data, address)
        except BaseException as exc:
            self.settle(address, exc)


class Conversation:
    """The datagrams of one sender and the generator that handles them. Reusable for another sender afterwards.

    The queue belongs to the driver. It is here because each conversation has one.
    """

    __slots__ = (
        "_agen",
        "_ancillary_data",
        "_asend",
        "_claim",
        "_client",
        "_dispatcher",
        "_origin",
        "_queue",
        "_queue_size",
        "_refused",
        "_required",
        "_steps",
        "_unregistered",
        "_yielded",
        "address",
    )

    def __init__(self, dispatcher: DatagramDispatcher[Any], address: Any) -> None:
        self._dispatcher = dispatcher
        self._unregistered = unregistered_generators()
        self._origin: Origin | None = None  # marks the errors that are thrown into generators
        self._client: Any = None
        self._agen: Any = None
        self._asend: Any = None  # that of the generator
        self._yielded: object = None  # the last valid object that the generator yielded
        self._required: object = DATAGRAM  # what that object requires
        self._claim: RecvAncillaryDataParams | None = None
        self._ancillary_data: Any = None  # of the datagram that the generator gets next
        self._refused: bytes | None = None  # a datagram for the next yield of the current generator
        self._queue: deque[Any] | None = None
        self._queue_size = 0
        self._steps = 0  # number of steps since the last TURN

        self.address: Any = address

    @types.coroutine
    def run(self) -> Generator[Any, Any, NoReturn]:
        """Run one generator after the other. Yield `IDLE` before each.

        :mod:`.requirements` describes the yielded objects. Faults of user code are reported (see :mod:`.faults`).
        Everything else propagates.
        """
        # When a generator ends, Python 3.11 walks the line table of this function up to the line where
        # StopAsyncIteration is raised. That is slow, so there is little code before that line.
        build, has_ancillary_data = self._dispatcher.codec.build, self._dispatcher.ancillary_bufsize is not None
        resume: Callable[[Any], Any] | None = None
        asend = packet = yielded = received = None
        is_used = False
        while True:
            if resume is not None:
                try:
                    yielded = yield from resume(packet)
                    if resume is not asend:
                        resume = asend = self._asend
                except StopAsyncIteration:
                    resume = None
                except BaseException as exc:
                    if closes_coroutine(exc):
                        raise
                    packet = None  # may be this error: its traceback refers to this frame
                    self._claim_unanswerable(exc)
                    self._dispatcher.settle(self.address, exc, self._origin)
                    resume = None
                packet = None  # do not keep the packet alive while the generator waits
            if resume is None:
                asend = yielded = None
                if is_used:
                    self._finish()
                is_used = True
                if self._steps >= STEPS_PER_TURN:
                    self._steps = 0
                    yield TURN
                try:
                    received = yield IDLE
                except HandedOver as begun:
                    received, resume, packet = begun.datagram, _go_on, begun.step
                    continue
                if has_ancillary_data:
                    received, self._ancillary_data = received
                resume = self._start
                continue
            try:
                if received is None and self._steps >= STEPS_PER_TURN:
                    self._steps = 0
                    yield TURN
                if yielded is not self._yielded:
                    self._wait_as(yielded)
                if received is None:
                    if self._refused is None:
                        received = yield self._required
                        if received is None:
                            raise TimeoutError("No datagram was received in time")
                        if received is NO_MORE:
                            received, resume = None, self._close
                            continue
                        if has_ancillary_data:
                            received, self._ancillary_data = received
                    else:
                        received, self._refused = self._refused, None
                if has_ancillary_data or self._claim is not None:
                    self._hand_over_ancillary_data(received)
                try:
                    packet = build(received)
                except Exception as exc:
                    resume = self._agen.athrow
                    packet = self._claim_error(self._dispatcher.codec.building_error(exc))
            except HandedOver as begun:
                resume, packet = _go_on, begun.step
            except BaseException as exc:
                if closes_coroutine(exc):
                    abandon_generator(self._agen)
                    raise
                resume, packet = self._agen.athrow, exc
                self._steps += 1
                if self._ancillary_data is not None:  # the data of a datagram that is lost
                    self._discard_ancillary_data()
            received = None

    def _start(self, _: None) -> Any:
        """Start a generator. Return the awaitable that runs it to its first ``yield``."""
        if self._unregistered.starting is not None:  # the event loop has replaced the hook
            self._unregistered = unregistered_generators()
        self._client = client = self._dispatcher.clients.at(self.address)
        self._agen = agen = self._dispatcher.handler(client)
        try:
            self._asend = asend = agen.asend
        except AttributeError:
            raise not_a_generator(agen) from None
        self._unregistered.starting = agen
        return asend(None)

    async def _close(self, _: None) -> NoReturn:
        """Close the generator, which waits for a datagram that will not arrive."""
        await end_generator(self._agen)

    def _claim_error(self, exc: Exception) -> Exception:
        """Mark *exc* as an error of this sender. Return it."""
        if self._origin is None:
            self._origin = Origin()
        self._origin.claim(exc)
        return exc

    def _claim_unanswerable(self, exc: BaseException) -> None:
        """Mark the errors in *exc* that say that this sender cannot be answered."""

        def claim(item: BaseException) -> bool:
            if isinstance(item, UnanswerableError) and item.address == self.address:
                self._claim_error(item)
            return False

        partition(exc, claim)  # visits the members of groups

    def _finish(self) -> None:
        """Clean up after the generator, which has ended."""
        if self._ancillary_data is not None:  # the data of a datagram that the generator did not receive
            self._discard_ancillary_data()
        self._agen = self._asend = self._yielded = self._claim = self._refused = None
        self._required = DATAGRAM
        watch, self._client = weakref.ref(self._client), None
        if (client := watch()) is not None:
            self._dispatcher.clients.keep(self.address, client)

    def _wait_as(self, yielded: object) -> None:
        try:
            timeout, self._claim = parse_yielded(yielded)
        except ValueError:
            # An invalid timeout is an error of the wait. Ancillary data that is already here needs no wait.
            if isinstance(yielded, RecvParams) and yielded.recv_with_ancillary is not None:
                self._give_claimed(yielded.recv_with_ancillary)
            raise
        self._required = DATAGRAM if timeout is None else Wait(timeout)
        self._yielded = yielded

    def _give_claimed(self, claim: RecvAncillaryDataParams) -> None:
        """Deliver ancillary data that is already here, unless the system truncated it."""
        if self._ancillary_data is not None and not isinstance(self._ancillary_data, TruncatedMessages):
            ancillary_data, self._ancillary_data = self._ancillary_data, None
            hand_over(ancillary_data, claim.data_received)

    def _hand_over_ancillary_data(self, datagram: bytes) -> None:
        ancillary_data, self._ancillary_data = self._ancillary_data, None
        if self._claim is None:
            self._dispatcher.give_unused(ancillary_data, self.address)
        elif self._dispatcher.ancillary_bufsize is None:
            raise UnsupportedOperation("The server was started without support for ancillary data")
        elif isinstance(ancillary_data, TruncatedMessages):
            self._refused = datagram
            raise ancillary_data.error
        elif ancillary_data is not None:
            hand_over(ancillary_data, self._claim.data_received)

    def _discard_ancillary_data(self) -> None:
        ancillary_data, self._ancillary_data = self._ancillary_data, None
        self._dispatcher.discard(ancillary_data, self.address)

    # ------------------------------------------------------------------------------------------ the queue of the driver

    def keep(self, received: Any) -> bool:
        """Queue what was received. Return false if it was dropped because the backlog is full."""
        self._steps = 0  # the caller is another task or a callback, so others have had their turn
        backlog = self._dispatcher.backlog
        size = self._size_of(received)
        if self._queue_size + size > backlog.of_one_sender or backlog.size + size > backlog.of_all:
            self._drop(received)
            return False
        if self._queue is None:
            self._queue = deque()
        self._queue.append(received)
        self._queue_size += size
        backlog.size += size
        return True

    def has_kept(self) -> bool:
        """Return whether anything is queued."""
        return bool(self._queue)

    def take(self) -> Any:
        """Remove and return what was queued first. Return None if the queue is empty."""
        if not self._queue:
            return None
        received = self._queue.popleft()
        size = self._size_of(received)
        self._queue_size -= size
        self._dispatcher.backlog.size -= size
        self._steps += 1
        return received

    def clear(self) -> None:
        """Drop all that is queued."""
        if self._ancillary_data is not None:
            self._discard_ancillary_data()
        while (received := self.take()) is not None:
            self._drop(received)

    def _drop(self, received: Any) -> None:
        self._dispatcher.backlog.dropped += 1
        if self._dispatcher.ancillary_bufsize is not None:
            self._dispatcher.discard(received[1], self.address)

    def _size_of(self, received: Any) -> int:
        datagram = received if self._dispatcher.ancillary_bufsize is None else received[0]
        return len(datagram) + Backlog.EXTRA


def _go_on(step: Any) -> Any:
    """Return *step*, which a driver has begun."""
    return step
