"""The dispatcher of one stream: bytes in, requests to the handler's generators.

A handler is an asynchronous generator: ``request = yield``. The dispatcher decodes requests and takes the generators
from one ``yield`` to the next. :mod:`.requirements` describes how a driver runs it.
"""

from __future__ import annotations

__all__ = ["DISCONNECTED", "NEVER_YIELDED", "RETURNED", "Driver", "Ending", "StreamDispatcher"]

import enum
import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from operator import length_hint
from typing import Any, Final, Generic, Protocol, TypeVar

from easynetwork.exceptions import UnsupportedOperation

from .ancillary import hand_over
from .errors import is_cut_tls
from .faults import Origin, closes_coroutine
from .handler_generators import (
    HandlerGenerator,
    NextGenerator,
    end_generator,
    generator_starter,
    parse_yielded,
)
from .requirements import BYTES, MORE, STEPS_PER_TURN, TURN, Wait
from .stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder

_T_Request = TypeVar("_T_Request")


class Ending(enum.Enum):
    """Why a dispatcher has nothing more to do."""

    RETURNED = "the last generator has returned"
    NEVER_YIELDED = "a generator has returned before its first yield"
    DISCONNECTED = "the connection ended"


# Constants: looking up a member of an enumeration costs as much as a function call.
RETURNED: Final = Ending.RETURNED
NEVER_YIELDED: Final = Ending.NEVER_YIELDED
DISCONNECTED: Final = Ending.DISCONNECTED


class Driver(Protocol):
    """Runs the dispatcher of one connection on what its transport receives."""

    def run(self, next_generator: NextGenerator[Any], /) -> Awaitable[Ending]:
        """Await `StreamDispatcher.run`. One task at a time may do so, any number of times."""


_NOTHING_DECODED: Final[Iterator[Any]] = iter(())
_INVALID: Final = object()
"""Stands for what a generator has yielded last if that was invalid: the next one is parsed in any case."""
_ONE_READ: Final = object()
"""Stands for a wait that one read has answered, together with ancillary data."""


class StreamDispatcher(Generic[_T_Request]):
    """Feeds the requests of one connection to handler generators, one generator after the other.

    Parameters:
        decoder: makes requests of received bytes.
        max_recv_size: the largest number of bytes to receive at once.
        ancillary_bufsize: room for ancillary data in bytes; None if handlers may not ask for it.
        is_disconnection: tells which errors of the connection end it like the end of the stream does.
    """

    __slots__ = (
        "_decoder",
        "_disconnection",
        "_error",
        "_is_disconnection",
        "_requests",
        "ancillary_bufsize",
        "buffered",
        "has_ended",
        "is_stopped",
        "max_recv_size",
        "origin",
    )

    def __init__(
        self,
        decoder: StreamDecoder[_T_Request],
        max_recv_size: int,
        ancillary_bufsize: int | None = None,
        is_disconnection: Callable[[Exception], bool] | None = None,
    ) -> None:
        self._decoder = decoder
        self._is_disconnection = is_disconnection
        self._disconnection: BaseException | None = None  # the error that ended the connection
        self._requests: Iterator[_T_Request] = _NOTHING_DECODED  # decoded, and not yet given to a generator
        self._error: BaseException | None = None  # to be thrown into the generator

        self.buffered: Final = decoder.buffered
        """Lends the buffer for received bytes; None if the dispatcher takes ``bytes``."""
        self.max_recv_size: Final = max_recv_size
        self.ancillary_bufsize: Final = ancillary_bufsize
        self.has_ended: bool = False
        """Whether the dispatcher has met the end of the stream."""
        self.is_stopped: bool = False
        """Whether this side is closing the connection."""
        self.origin: Origin | None = None
        """Marks the errors of this connection; None before the first one."""

    @types.coroutine
    def run(self, next_generator: NextGenerator[_T_Request]) -> Generator[Any, Any, Ending]:
        """Feed requests to the generators that *next_generator* makes, until it makes none or the stream ends.

        Errors of a generator propagate. The last generator is closed in all cases.
        """
        start, decoder = generator_starter(), self._decoder
        decode_single = decoder.take_single
        requests: Iterator[_T_Request] | None = self._requests  # decoded before
        is_drained = False  # without new bytes, the decoder has no request
        last_yielded, first_wait = None, BYTES  # what the generator has yielded last, and what that requires
        steps = 0  # since everything else had its turn
        agen: Any = None
        asend: Any = None
        resume: Any
        argument: Any
        received: Any = None
        while True:
            if agen is None:
                if self.is_stopped or (agen := next_generator()) is None:
                    return RETURNED
                resume, argument = start, agen
            try:
                # At the end of a generator, Python 3.11 counts the lines of this function up to the one where
                # StopAsyncIteration is raised. That takes long: all rare code stands below.
                yielded = yield from resume(argument)
                if resume is not asend:
                    resume = asend = agen.asend
                if requests is not None and yielded is last_yielded:
                    for argument in requests:
                        yielded = yield from asend(argument)
                        if yielded is not last_yielded:
                            break
                    else:
                        requests = None
            except StopAsyncIteration:
                if resume is start:
                    return NEVER_YIELDED
                if resume is end_generator:
                    return DISCONNECTED
                agen = None
                continue
            argument = NEED_DATA  # a generator that waits keeps no request alive
            try:
                if steps >= STEPS_PER_TURN:
                    steps = 0
                    yield TURN
                if yielded is not last_yielded:
                    last_yielded, first_wait = _INVALID, BYTES
                    first_wait = self._parse(yielded)
                    last_yielded = yielded
                    if requests is not None:
                        argument = next(requests, NEED_DATA)
                wait = first_wait
                while argument is NEED_DATA:
                    if not is_drained:
                        if decoded := decoder.next_packets(STEPS_PER_TURN):
                            is_drained = decoder.drained
                            steps += len(decoded)
                            requests = self._requests = iter(decoded)
                            argument = next(requests)
                            del decoded  # the iterator drops it at its end
                            break
                        is_drained = True
                        if wait is _ONE_READ:
                            raise EOFError("The data received with ancillary data does not hold a whole request")
                    try:
                        received = yield wait
                    except Exception as exc:
                        if not self._ends_connection(exc):
                            raise
                        received = b""
                    if wait is not BYTES:
                        received, wait = self._take_special(received, wait)
                    if not received:
                        self.has_ended = True
                        resume, argument = end_generator, agen
                        break
                    steps += 1
                    argument = decode_single(received)
                    received = None
                    if argument is not NEED_DATA:
                        break
                    is_drained = False
                    if steps >= STEPS_PER_TURN:
                        steps = 0
                        yield TURN
            except FramingLostError:
                self.has_ended = True  # the generator was told why at the yield before
                resume, argument = end_generator, agen
            except BaseException as exc:
                if closes_coroutine(exc):
                    raise
                self.claim(exc)
                self._error, received = exc, None
                is_drained = False
                steps += 1
                resume, argument = self._throw, agen

    def stop(self) -> None:
        """Drop what was received, and start no other generator: this side is closing the connection."""
        self.is_stopped = True
        self._decoder.clear()
        for _ in self._requests:
            pass

    def is_interrupting(self) -> bool:
        """Return whether closing now interrupts the peer: it has sent bytes that no generator has received."""
        return not self.has_ended and (length_hint(self._requests) > 0 or self._decoder.holds_input)

    def claim(self, exc: BaseException) -> None:
        """Mark *exc* as an error of this connection."""
        if self.origin is None:
            self.origin = Origin()
        self.origin.claim(exc)

    def is_disconnection(self, exc: BaseException) -> bool:
        """Return whether *exc*, an error of the transport, ends the connection like the end of the stream does.

        So does an error that the transport raises again after a generator got it: the connection is broken for good. A
        handler that catches the error and yields again would do so forever.
        """
        if (self.origin is not None and self.origin.is_of(exc)) or (
            isinstance(exc, Exception) and self._is_disconnection is not None and self._is_disconnection(exc)
        ):
            self._disconnection = exc
            return True
        return False

    def describe_cut(self) -> str:
        """Return how the peer's stream was cut short; an empty string if it was not."""
        if not self.has_ended:
            return ""
        pending = self._decoder.pending
        if self._disconnection is None:
            if not pending:
                return ""
            kind, where = "stream ended", ""
        elif is_cut_tls(self._disconnection):
            kind, where = "TLS stream was cut", "without a closing alert"
        else:
            return ""
        if pending:
            where = f"in the middle of a packet ({pending} byte{'s' if pending != 1 else ''})"
        return f"the {kind} {where}"

    def _parse(self, yielded: object) -> Any:
        """Return what a generator requires that has *yielded* this: `BYTES` or a `Wait`."""
        timeout, ancillary = parse_yielded(yielded)
        if ancillary is not None and self.ancillary_bufsize is None:
            raise UnsupportedOperation("The server was started without 'ancillary_bufsize'")
        return BYTES if timeout is None and ancillary is None else Wait(timeout, ancillary)

    def _take_special(self, received: Any, wait: Any) -> tuple[Any, Any]:
        """Return the bytes in *received*, the answer to a special *wait*, and what to yield if they are too few.

        Raises:
            TimeoutError: the time is over.
            RuntimeError: the callback for ancillary data has failed. The bytes are lost.
        """
        if received is None:
            raise TimeoutError("No request was received in time")
        if wait is MORE or wait.ancillary is None or not received:
            return received, MORE
        received, ancillary_data = received
        if received:
            hand_over(ancillary_data, wait.ancillary.data_received)
        return received, _ONE_READ

    def _ends_connection(self, exc: Exception) -> bool:
        # A transport that this side closes while a task receives raises whatever it likes.
        return self.is_stopped or self.is_disconnection(exc)

    def _throw(self, agen: HandlerGenerator[_T_Request]) -> Awaitable[Any]:
        # No local variable of `run` refers to the error: it would be in a cycle with its own traceback.
        error, self._error = self._error, None
        assert error is not None
        return agen.athrow(error)
