"""What a datagram server has to say to each sender, without any I/O.

All datagrams of one address make a *conversation*: they are handled one after the other, by one generator at a time. A
driver, which knows the event loop, hands received datagrams to conversations and resumes their coroutines.
"""

from __future__ import annotations

__all__ = ["Backlog", "Clients", "Conversation", "DatagramDispatcher"]

import types
import weakref
from collections import deque
from collections.abc import Callable, Generator, Hashable
from typing import Any, Final, Generic, NoReturn, TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams

from .ancillary import TruncatedMessages, hand_over
from .datagram_codec import DatagramCodec
from .faults import Origin, closes_coroutine, split_fault
from .handler_generators import HandlerGenerator, end_generator, generator_starter, parse_yielded
from .requirements import DATAGRAM, IDLE, STEPS_PER_TURN, TURN

_T_Client = TypeVar("_T_Client")


class Backlog:
    """Bounds what waits for busy handlers, of one sender and of all, and counts what was dropped."""

    __slots__ = ("dropped", "size")

    OF_ONE_SENDER: Final = 1024 * 1024
    OF_ALL: Final = 8 * 1024 * 1024
    """Sizes in bytes."""

    EXTRA: Final = 128
    """What a datagram takes in memory besides its bytes."""

    def __init__(self) -> None:
        self.size = 0
        self.dropped = 0
        """How many datagrams were received and are lost."""


class Clients(Generic[_T_Client]):
    """What stands for senders: the same object for the same address, as long as anybody keeps it."""

    __slots__ = ("_kept", "_new")

    def __init__(self, new: Callable[[Any], _T_Client]) -> None:
        self._new = new
        self._kept: weakref.WeakValueDictionary[Any, _T_Client] | None = None  # most handlers keep none

    def at(self, address: Any) -> _T_Client:
        """Returns the client at *address*."""
        if self._kept is not None and (client := self._kept.get(address)) is not None:
            return client
        return self._new(address)

    def keep(self, address: Any, client: _T_Client) -> None:
        """Says that *client* is still in use when its generator has ended: the next generator is to get it."""
        if not address:  # a Unix socket without a name, which may be another one each time
            return
        if self._kept is None:
            self._kept = weakref.WeakValueDictionary()
        self._kept[address] = client


class DatagramDispatcher(Generic[_T_Client]):
    """What all conversations of a server have in common."""

    __slots__ = (
        "_is_cancellation",
        "_on_error",
        "_on_unused",
        "ancillary_bufsize",
        "backlog",
        "clients",
        "codec",
        "ended",
        "handler",
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
    ) -> None:
        self.handler: Final = handler
        self.codec: Final = codec
        self.clients: Final = clients
        self.backlog: Final = backlog
        self._on_error = on_error
        self._is_cancellation = is_cancellation
        self.ancillary_bufsize: Final = ancillary_bufsize
        self._on_unused = on_unused
        self.ended: bool = False
        """Set by the driver when no more datagrams will come: a generator that waits for one is closed."""

    def settle(self, address: Hashable, exc: BaseException, origin: Origin | None = None) -> None:
        """Report the faults in *exc*, which user code has raised, and raise the rest."""
        fault, ending = split_fault(exc, self._is_cancellation)
        if fault is not None:
            self._on_error(address, fault, origin)
        if ending is not None:
            raise ending

    def give_unused(self, ancillary_data: Any, address: Any) -> None:
        """Call *on_unused* with ancillary data that no handler has claimed.

        Raises:
            RuntimeError: it raised an exception, which is the cause.
        """
        if self._on_unused is None or ancillary_data is None or isinstance(ancillary_data, TruncatedMessages):
            return
        try:
            self._on_unused(ancillary_data, address)
        except Exception as exc:
            raise RuntimeError("The callback for unused ancillary data has failed") from exc

    def discard(self, ancillary_data: Any, address: Any) -> None:
        """Do what `give_unused` does where no handler is there to get an error."""
        try:
            self.give_unused(ancillary_data, address)
        except BaseException as exc:
            self.settle(address, exc)


class Conversation:
    """The datagrams of one sender, and the generator they go to. May be used for another sender afterwards."""

    __slots__ = (
        "_agen",
        "_claim",
        "_client",
        "_dispatcher",
        "_origin",
        "_queue",
        "_queue_size",
        "_refused",
        "_start_generator",
        "_steps",
        "_yielded",
        "address",
        "ancillary_data",
        "timeout",
    )

    always_waits: bool = False
    """Whether to yield `DATAGRAM` even if a datagram is there: the driver may have to raise something first."""

    def __init__(self, dispatcher: DatagramDispatcher[Any], address: Any) -> None:
        self._dispatcher = dispatcher
        self._start_generator = generator_starter()
        self._origin: Origin | None = None  # of the errors that were thrown
        self._client: Any = None
        self._agen: Any = None
        self._yielded: object = None  # at the current yield
        self._claim: RecvAncillaryDataParams | None = None
        self._queue: deque[tuple[bytes, Any]] | None = None
        self._queue_size = 0
        self._refused: tuple[bytes, Any] | None = None  # an entry of the queue, for the current generator only
        self._steps = 0  # since others had their turn

        self.address: Any = address
        self.ancillary_data: Any = None
        """What has come with the datagram that the coroutine is resumed with, if anything; set before."""
        self.timeout: float | None = None
        """Longest time to wait in `DATAGRAM`, in seconds; None for ever."""

    @types.coroutine
    def run(self) -> Generator[Any, Any, NoReturn]:
        """Run one generator after the other. Yield `IDLE` before each.

        See :mod:`.requirements`. Faults of user code are reported (see :mod:`.faults`); everything else propagates.
        """
        codec, has_ancillary_data = self._dispatcher.codec, self._dispatcher.ancillary_bufsize is not None
        build, start = codec.build, self._start
        datagram: bytes | None
        resume: Callable[[Any], Any] | None = None
        is_used = False
        while True:
            if resume is None:
                asend = packet = yielded = None
                if is_used:
                    self._finish()
                is_used = True
                if self._steps >= STEPS_PER_TURN:
                    self._steps = 0
                    yield TURN
                datagram = yield IDLE
                resume = start
            try:
                # At the end of a generator, Python 3.11 counts the lines of this function up to the one where
                # StopAsyncIteration is raised, which can take longer than all else that a short generator costs.
                yielded = yield from resume(packet)
                if resume is not asend:
                    resume = asend = self._agen.asend
            except StopAsyncIteration:
                resume = None
                continue
            except BaseException as exc:
                if closes_coroutine(exc):
                    raise
                self._dispatcher.settle(self.address, exc, self._origin)
                resume = None
                continue
            packet = None  # a generator that waits keeps no packet alive
            try:
                if yielded is not self._yielded:
                    self._wait_as(yielded)
                if datagram is None:
                    if self._steps >= STEPS_PER_TURN:
                        self._steps = 0
                        yield TURN
                    if self._queue and not self.always_waits:
                        datagram = self.take()
                    if datagram is None and (self._queue or not self._dispatcher.ended):
                        datagram = yield DATAGRAM
                    if datagram is None:
                        resume = self._close
                        continue
                if has_ancillary_data or self._claim is not None:
                    self._hand_over_ancillary_data(datagram)
                try:
                    packet = build(datagram)
                except Exception as exc:
                    resume, packet = self._agen.athrow, self._claim_error(codec.building_error(exc))
            except BaseException as exc:
                if closes_coroutine(exc):
                    raise
                resume, packet = self._agen.athrow, exc
                self._steps += 1
                if self.ancillary_data is not None:  # its datagram is lost
                    self._discard_ancillary_data()
            datagram = None

    def _start(self, _: None) -> Any:
        """Begins a generator. Returns what to wait for until its first yield."""
        self._client = client = self._dispatcher.clients.at(self.address)
        self._agen = agen = self._dispatcher.handler(client)
        return self._start_generator(agen)

    async def _close(self, _: None) -> NoReturn:
        """Closes the generator, which waits for what will not come."""
        await end_generator(self._agen)

    def _claim_error(self, exc: Exception) -> Exception:
        """Note that *exc* is an error of this sender. Return it."""
        if self._origin is None:
            self._origin = Origin()
        self._origin.claim(exc)
        return exc

    def _finish(self) -> None:
        """Forgets the generator, which has ended."""
        if self.ancillary_data is not None:  # of a datagram that was never asked for
            self._discard_ancillary_data()
        if self._refused is not None:
            self._forget_refused()
        self._agen = self._yielded = self._claim = self.timeout = None
        watch, self._client = weakref.ref(self._client), None
        if (client := watch()) is not None:
            self._dispatcher.clients.keep(self.address, client)

    def _wait_as(self, yielded: object) -> None:
        self._yielded = IDLE  # nothing that a handler could yield, in case of an error
        try:
            self.timeout, self._claim = parse_yielded(yielded)
        except ValueError:
            # A bad time-out is an error of the wait. What is there already, is received without one.
            if isinstance(yielded, RecvParams) and yielded.recv_with_ancillary is not None:
                self._give_claimed(yielded.recv_with_ancillary)
            raise
        self._yielded = yielded

    def _give_claimed(self, claim: RecvAncillaryDataParams) -> None:
        """Hand over what is there already, unless it is truncated."""
        if self.ancillary_data is not None and not isinstance(self.ancillary_data, TruncatedMessages):
            ancillary_data, self.ancillary_data = self.ancillary_data, None
            hand_over(ancillary_data, claim.data_received)

    def _hand_over_ancillary_data(self, datagram: bytes) -> None:
        ancillary_data, self.ancillary_data = self.ancillary_data, None
        if self._claim is None:
            self._dispatcher.give_unused(ancillary_data, self.address)
        elif self._dispatcher.ancillary_bufsize is None:
            raise UnsupportedOperation("The server was started without ancillary data")
        elif isinstance(ancillary_data, TruncatedMessages):
            self._put_back(datagram)
            raise ancillary_data.error
        elif ancillary_data is not None:
            hand_over(ancillary_data, self._claim.data_received)

    def _put_back(self, datagram: bytes) -> None:
        """Keep *datagram* for the next ``yield`` of the same generator."""
        if self._queue is None:
            self._queue = deque()
        self._refused = (datagram, None)
        self._queue.appendleft(self._refused)
        size = len(datagram) + Backlog.EXTRA
        self._queue_size += size
        self._dispatcher.backlog.size += size

    def _forget_refused(self) -> None:
        if self._queue and self._queue[0] is self._refused:
            self.take()
        self._refused = None

    def _discard_ancillary_data(self) -> None:
        ancillary_data, self.ancillary_data = self.ancillary_data, None
        self._dispatcher.discard(ancillary_data, self.address)

    def keep(self, datagram: bytes, ancillary_data: Any) -> bool:
        """Takes a datagram for later. Returns false if it was dropped, because too much is waiting."""
        self._steps = 0  # who brings it is somebody else
        backlog = self._dispatcher.backlog
        size = len(datagram) + Backlog.EXTRA
        if self._queue_size + size > Backlog.OF_ONE_SENDER or backlog.size + size > Backlog.OF_ALL:
            backlog.dropped += 1
            self._dispatcher.discard(ancillary_data, self.address)
            return False
        if self._queue is None:
            self._queue = deque()
        self._queue.append((datagram, ancillary_data))
        self._queue_size += size
        backlog.size += size
        return True

    def has_kept(self) -> bool:
        """Whether there are datagrams that were kept."""
        return bool(self._queue)

    def take(self) -> bytes | None:
        """Returns the oldest datagram that was kept, and sets its ancillary data. None if there is none."""
        if not self._queue:
            return None
        datagram, self.ancillary_data = self._queue.popleft()
        size = len(datagram) + Backlog.EXTRA
        self._queue_size -= size
        self._dispatcher.backlog.size -= size
        self._steps += 1
        return datagram

    def clear(self) -> None:
        """Drops all datagrams that were kept, and what has come with one that was never asked for."""
        if self.ancillary_data is not None:
            self._discard_ancillary_data()
        while self.take() is not None:
            self._dispatcher.backlog.dropped += 1
            self._discard_ancillary_data()
