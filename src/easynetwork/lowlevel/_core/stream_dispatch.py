"""The dispatcher of one stream: it decodes bytes and sends the requests to the handler's generators.

A handler is an asynchronous generator: ``request = yield``. The dispatcher decodes requests and runs each generator
from one ``yield`` to the next. :mod:`.requirements` describes how a driver runs a dispatcher.
"""

from __future__ import annotations

__all__ = [
    "DISCONNECTED",
    "NEVER_YIELDED",
    "RETURNED",
    "Driver",
    "Ending",
    "StreamDispatcher",
    "Watched",
    "check_finished",
    "is_waiting",
]

import enum
import errno
import math
import types
from collections.abc import Awaitable, Callable, Generator, Iterator
from operator import length_hint
from time import perf_counter
from typing import Any, Final, Generic, Protocol, TypeVar

from easynetwork.exceptions import BaseProtocolParseError, UnsupportedOperation

from .ancillary import hand_over
from .errors import connection_lost, end_of_stream, is_cut_tls
from .faults import Origin, closes_coroutine, raise_without_generator_exit
from .handler_generators import (
    HandedOver,
    HandlerGenerator,
    NextGenerator,
    abandon_generator,
    not_a_generator,
    parse_yielded,
    unregistered_generators,
)
from .requirements import BYTES, MORE, STEPS_PER_TURN, TURN, TURN_TIME, Wait
from .stream_decoders.interface import NEED_DATA, FramingLostError, StreamDecoder
from .traffic import Traffic

_T_Request = TypeVar("_T_Request")


class Ending(enum.Enum):
    """Why a dispatcher returned."""

    RETURNED = "the last generator returned"
    NEVER_YIELDED = "a generator returned before its first yield, and has not received in another way"
    DISCONNECTED = "the connection ended"


# Module constants, because looking up an enum member takes as long as a function call.
RETURNED: Final = Ending.RETURNED
NEVER_YIELDED: Final = Ending.NEVER_YIELDED
DISCONNECTED: Final = Ending.DISCONNECTED


class Driver(Protocol):
    """An object that runs the dispatcher of one connection with the bytes that the transport receives."""

    def run(self, next_generator: NextGenerator[Any], /) -> Awaitable[Ending]:
        """Run `StreamDispatcher.run` to its end. One task at a time may call this, any number of times.

        Raises:
            RuntimeError: another task is calling this.
        """

    requests: Any
    """The generator of the last `StreamDispatcher.run`; None before the first."""

    def look_again(self) -> None:
        """Resume the dispatcher with None if it waits for bytes, although its time is not over."""

    def set_transport(self, transport: Any, /) -> None:
        """Receive from *transport* from now on: the TLS transport on top of the one of the constructor."""


def _next_batch_size(size: int, seconds: float) -> int:
    """Return how many requests to decode at once, if *size* requests took this number of *seconds*."""
    if seconds > TURN_TIME:
        return max(int(size * TURN_TIME / seconds), 1)
    return min(2 * size, STEPS_PER_TURN)


def is_waiting(requests: Any) -> bool:
    """Return whether *requests*, a generator of `StreamDispatcher.run`, waits while its handler is at a ``yield``."""
    return requests is not None and requests.gi_suspended and requests.gi_yieldfrom is None


def check_finished(requests: Any) -> None:
    """Raise `RuntimeError` if *requests*, the last generator of `StreamDispatcher.run`, has not ended."""
    if requests is not None and requests.gi_frame is not None:
        raise RuntimeError("Another task receives the packets of this connection")


class _Draining:
    """What a dispatcher notes while its connection is draining."""

    __slots__ = ("completion", "has_completed", "has_heard", "has_looked", "timeout", "unread")

    def __init__(self, has_heard: bool, unread: int) -> None:
        self.has_heard = has_heard  # whether anything has arrived, or was being handled, since the beginning
        self.unread = unread  # number of bytes that looks may still find
        self.has_looked = False  # whether the last look for bytes has been taken
        self.timeout = _LONG_TIME  # how long the handler waits for a request
        self.completion: Wait | None = None  # the wait for the end of a request that has begun, if that is going on
        self.has_completed = False  # whether there was such a wait


class Watched:
    """What is noted about a connection that has limits.

    Looking for the next packet, rather than counting all of them, costs nothing per packet. A failed wait ends a look
    as well: invalid packets and timeouts do not count.
    """

    __slots__ = ("cut_by", "handshake_timeout", "has_packet", "is_looking", "is_over")

    def __init__(self, handshake_timeout: float | None) -> None:
        self.handshake_timeout: Final = handshake_timeout
        """The limit for a TLS handshake, in seconds."""
        self.is_looking: bool = False
        """Whether to note the next packet. Set by `StreamDispatcher.look_for_packet`."""
        self.has_packet: bool = False
        """Whether a packet was handled since then."""
        self.cut_by: str = ""
        """The limit because of which this side has closed the connection; empty if it has not."""
        self.is_over: bool = False
        """Whether the connection is closed, and its task has ended."""

    def note_packet(self) -> None:
        if self.is_looking:
            self.is_looking = False
            self.has_packet = True


class _StreamEndedError(Exception):
    """There is nothing more to wait for."""


_NOTHING_DECODED: Final[Iterator[Any]] = iter(())
_NOTHING_YIELDED: Final = object()
_LONG_TIME: Final = 24 * 3600.0
"""Number of seconds. Drivers expect a `Wait` to have a limit."""
_ONE_READ: Final = object()
"""Replaces a wait with ancillary data after its read: if the bytes are not a complete request, the wait fails."""


class StreamDispatcher(Generic[_T_Request]):
    """The dispatcher of one connection. It feeds the requests to handler generators, one generator after the other.

    Parameters:
        decoder: decodes received bytes into requests.
        max_recv_size: the maximum number of bytes per read.
        ancillary_bufsize: the buffer size for ancillary data, in bytes. None if handlers may not ask for it.
        is_disconnection: returns whether an error of the connection is handled like the end of the stream.
    """

    __slots__ = (
        "_decoder",
        "_draining",
        "_error",
        "_has_changed",
        "_has_received",
        "_is_disconnection",
        "_requests",
        "_step",
        "_turn_end",
        "_was_tls_cut",
        "ancillary_bufsize",
        "buffered",
        "generator",
        "has_ended",
        "has_lost_framing",
        "is_receiving",
        "is_stepped",
        "is_stopped",
        "max_recv_size",
        "origin",
        "watched",
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
        # Whether the error that ended the connection was that of a cut TLS stream; None without such an error. The
        # error itself would be in a cycle with this object: its traceback refers to the frame of `run`.
        self._was_tls_cut: bool | None = None
        self._requests: Iterator[_T_Request] = _NOTHING_DECODED  # decoded requests that no generator has received
        self._error: BaseException | None = None  # the error to throw into the generator
        self._step: HandedOver | None = None  # the step that a driver has begun
        self._has_changed = False  # whether the handler has received or exchanged the decoder, so that `run` must look
        self._has_received = False  # whether `receive` has returned a request since `run` last looked
        self._turn_end = 0.0  # when `receive` lets others have their turn

        self.buffered = decoder.buffered
        """Provides the buffer for received bytes. None if the dispatcher takes ``bytes``."""
        self.max_recv_size: Final = max_recv_size
        self.ancillary_bufsize: Final = ancillary_bufsize
        self.has_ended: bool = False
        """Whether the dispatcher has reached the end of the stream."""
        self.has_lost_framing: bool = False
        """Whether the rest of the stream cannot be decoded. This ends the connection, although the peer has not."""
        self._draining: _Draining | None = None  # set by `drain`
        self.is_receiving: bool = False
        """Whether a generator waits in `receive`."""
        self.generator: HandlerGenerator[_T_Request] | None = None
        """The current generator. While the dispatcher waits for `BYTES`, a driver may resume it: see `HandedOver`."""
        self.is_stepped: bool = False
        """Whether a driver is resuming the generator."""
        self.is_stopped: bool = False
        """Whether this side is closing the connection."""
        self.origin: Origin | None = None
        """Marks the errors of this connection. None before the first error."""
        self.watched: Watched | None = None
        """What is noted about the connection if it has limits."""

    @types.coroutine
    def run(self, next_generator: NextGenerator[_T_Request]) -> Generator[Any, Any, Ending]:
        """Send requests to the generators that *next_generator* returns, until it returns None or the stream ends.

        Errors of a generator propagate. The last generator is always closed.
        """
        # When a generator ends, Python 3.11 walks the line table of this function up to the line where
        # StopAsyncIteration is raised. That is slow, so there is little code before that line.
        unregistered, decoder = unregistered_generators(), self._decoder
        requests: Iterator[_T_Request] | None = self._requests  # decoded requests that no generator has received
        is_drained = False  # whether the decoder returns no request until it gets new bytes
        last_yielded: Any = None  # the last valid object that was yielded
        first_wait: Any = BYTES  # its requirement
        steps = 0  # number of steps since the last TURN
        batch_size, batch_started = 1, 0.0  # the maximum size of a batch of requests; when the last full one started
        agen: Any = None
        asend: Any = None
        argument: Any = NEED_DATA  # the request for the waiting generator
        received: Any
        while True:
            if argument is not NEED_DATA:
                try:
                    yielded = yield from asend(argument)
                    if requests is not None and yielded is last_yielded:
                        for argument in requests:
                            yielded = yield from asend(argument)
                            if yielded is not last_yielded:
                                break
                        else:
                            requests, decoder.batch = None, b""
                except StopAsyncIteration:
                    agen = None
                argument = NEED_DATA  # do not keep the request alive while the generator waits
            if agen is None:
                if self.is_stopped or (agen := next_generator()) is None:
                    return RETURNED
                self.generator = agen
                try:
                    asend = agen.asend
                except AttributeError:
                    raise not_a_generator(agen) from None
                unregistered.starting = agen
                try:
                    yielded = yield from asend(None)
                except StopAsyncIteration:
                    if not self._has_received:
                        return NEVER_YIELDED
                    self._has_received, agen = False, None
                    continue
                if unregistered.starting is not None:
                    unregistered = unregistered_generators()
            try:
                if steps >= STEPS_PER_TURN:
                    if batch_started:
                        batch_size = _next_batch_size(batch_size, perf_counter() - batch_started)
                    steps, batch_started = 0, 0.0
                    yield TURN
                if self._has_changed:
                    self._has_changed = is_drained = False
                    decoder, requests = self._decoder, self._requests
                    last_yielded = _NOTHING_YIELDED
                    if self.watched is not None:
                        if steps:
                            self.watched.note_packet()
                        self._has_changed = self.watched.is_looking
                    if self._draining is not None and not self.has_ended:
                        self._draining.has_heard = True  # the wait that it found has brought a request
                    if self.has_ended:  # the handler met the end in `receive`
                        raise _StreamEndedError
                if yielded is not last_yielded:
                    first_wait = self._parse(yielded)
                    last_yielded = yielded
                if requests is not None:
                    for argument in requests:  # noqa: B007  # the next request; cheaper than next()
                        break
                    else:
                        requests, decoder.batch = None, b""
                wait = first_wait
                while argument is NEED_DATA:
                    if not is_drained:
                        if decoded := decoder.next_packets(batch_size):
                            is_drained = decoder.drained and self._draining is None  # then look at the draining first
                            steps += len(decoded)
                            if len(decoded) == batch_size:
                                now = perf_counter()
                                if batch_started:
                                    batch_size = _next_batch_size(batch_size, now - batch_started)
                                    if now - batch_started > TURN_TIME:
                                        steps = STEPS_PER_TURN
                                batch_started = now
                            if is_drained:
                                batch_started = 0.0
                            requests = self._requests = iter(decoded)
                            argument = next(requests)
                            del decoded  # the iterator frees the list when it is exhausted
                            break
                        is_drained = True
                        if wait is _ONE_READ:
                            raise EOFError("The bytes received with the ancillary data are not a complete request")
                        if self._draining is not None and (wait := self._wait_while_draining(wait)) is None:
                            break
                        batch_started = 0.0
                    try:
                        received = yield wait
                    except Exception as exc:
                        if not self._ends_connection(exc):
                            raise
                        received = b""
                    if self.generator is not agen:
                        agen, asend = self._changed_generator()
                    if wait is not BYTES:
                        received, wait = self._take_special(received, wait)
                    if not received:
                        if received is None and self._draining is not None:
                            is_drained = False
                            continue
                        self.has_ended = True
                        break
                    steps += 1
                    argument = decoder.take_single(received)
                    received = None
                    if argument is not NEED_DATA:
                        break
                    is_drained = False
                    if steps >= STEPS_PER_TURN:
                        steps = 0
                        yield TURN
            except _StreamEndedError:
                pass
            except FramingLostError:
                self.has_lost_framing = True  # the generator got the cause at its previous yield
            except HandedOver as step:
                agen, asend = self._changed_generator()
                steps, is_drained = step.steps, False
                self._step = step
            except BaseException as exc:
                agen, asend = self._changed_generator()
                if closes_coroutine(exc):
                    abandon_generator(agen)
                    raise
                self.claim(exc)
                self._error, received = exc, None
                is_drained = False
                self._note_failure(exc)
                steps += 1
            if argument is not NEED_DATA:
                continue
            if self._step is None and (self.has_ended or self.has_lost_framing):
                # Do what close_generator() does, without a call: short connections notice it.
                try:
                    yield from agen.aclose()
                except BaseExceptionGroup as group:
                    raise_without_generator_exit(group)
                return DISCONNECTED
            is_start = self._step is not None and self._step.is_start
            try:
                yielded = yield from self._next_step(agen)
            except StopAsyncIteration:
                if is_start:
                    if not self._has_received:
                        return NEVER_YIELDED
                    self._has_received = False
                agen = None

    def drain(self, *, is_busy: bool, unread: int = 0) -> None:
        """End the stream as soon as a generator waits for a request of which nothing has arrived.

        Then make the driver `Driver.look_again`, in case a generator is waiting already.

        Parameters:
            is_busy: whether a request is being handled.
            unread: number of bytes that have arrived, but that the dispatcher has not received. Later ones are looked
                for only once: a peer that always has requests in flight must not keep the connection open.
        """
        self._has_changed = True
        self._draining = _Draining(is_busy or self._decoder.holds_input, unread)

    @property
    def pending(self) -> int:
        """Number of bytes of the next request that have arrived."""
        return self._decoder.pending

    @property
    def traffic(self) -> Traffic | None:
        """What the connection has received and sent, if that is counted."""
        return self._decoder.traffic

    @property
    def is_lost(self) -> bool:
        """Whether an error has ended the connection."""
        return self._was_tls_cut is not None

    @property
    def is_draining(self) -> bool:
        """Whether `drain` was called."""
        return self._draining is not None

    @property
    def was_idle(self) -> bool:
        """Whether nothing has arrived, and no request was being handled, since `drain` was called."""
        return self._draining is not None and self.has_ended and not self._draining.has_heard

    def awaits_request(self, requests: Any) -> bool:
        """Return whether *requests*, the last generator of `run`, awaits a request: at a ``yield`` or in `receive`."""
        return self.is_receiving or (is_waiting(requests) and not self.is_stepped)

    # ---------------------------------------------------------------------------------- receiving inside of a generator

    @types.coroutine
    def receive(self, timeout: float) -> Generator[Any, Any, _T_Request]:
        """Return the next request, within *timeout* seconds. Only a generator of `run` may await this.

        The generator then need not wait at its ``yield``, but raises the same errors. It gets an error at the end of
        the stream too. To the driver it makes no difference whether this method or `run` yields a requirement.
        """
        self.is_receiving = self._has_changed = True
        if self._draining is not None and not self.has_ended:
            self._draining.has_heard = True  # the wait that it found has brought a request
        try:
            if perf_counter() > self._turn_end:
                if self._turn_end:
                    yield TURN
                self._turn_end = perf_counter() + TURN_TIME
            decoder = self._decoder
            wait: Any = self._parse(None if timeout == math.inf else timeout)
            request: Any = next(self._requests, NEED_DATA)
            while request is NEED_DATA and (request := decoder.next_packet()) is NEED_DATA:
                if self.has_ended:
                    raise self.end_of_stream()
                if self._draining is not None and (wait := self._wait_while_draining(wait)) is None:
                    continue
                try:
                    received = yield wait
                except Exception as exc:
                    if not self._ends_connection(exc):
                        raise
                    self.has_ended = True
                    if self.is_stopped or not isinstance(exc, OSError):
                        continue
                    raise connection_lost(exc) from exc
                if wait is not BYTES:
                    received, wait = self._take_special(received, wait)
                if not received:
                    self.has_ended = received is not None or self._draining is None
                    continue
                self._turn_end = perf_counter() + TURN_TIME
                request = decoder.take_single(received)
            self._has_received = True
            if self.watched is not None:
                self.watched.note_packet()
            return request  # type: ignore[no-any-return]
        except BaseException as exc:
            if isinstance(exc, FramingLostError):
                self.has_lost_framing = True
            if not closes_coroutine(exc):
                self.claim(exc)
                self._note_failure(exc)
            raise
        finally:
            self.is_receiving = False

    def end_of_stream(self) -> OSError:
        """Return the error for a generator that wants a request after the last one."""
        error: OSError
        if self.has_lost_framing:
            error = FramingLostError()
        elif (cut := self.error_of_cut()) is not None:
            error = cut
        elif self.is_stopped:
            error = ConnectionAbortedError(errno.ECONNABORTED, "this side closed the connection")
        else:
            error = end_of_stream(self._decoder.pending)
        self.claim(error)
        return error

    @property
    def cut_by(self) -> str:
        """The limit because of which this side has closed the connection; empty if it has not."""
        return "" if self.watched is None else self.watched.cut_by

    def error_of_cut(self) -> ConnectionAbortedError | None:
        """Return the error for a handler that uses the connection although it was cut. None if it was not."""
        if not self.cut_by:
            return None
        return ConnectionAbortedError(errno.ECONNABORTED, f"this side cut the connection: over the limit {self.cut_by}")

    def set_decoder(self, decoder: StreamDecoder[Any]) -> None:
        """Decode with *decoder* all bytes that are not part of a request that a handler has received."""
        undelivered = self.take_undelivered()
        self._decoder = decoder
        self.buffered = decoder.buffered
        if undelivered:
            decoder.feed(undelivered)

    def take_undelivered(self) -> bytes:
        """Return all bytes that are not part of a request that a handler has received, and drop them.

        Raises:
            UnsupportedOperation: the protocol object has already taken the start of the next request.
            FramingLostError: an earlier packet failed, and the start of the next one is unknown.
        """
        undelivered = self._decoder.take_undelivered(length_hint(self._requests))
        self._drop_requests()
        self._has_changed = True
        return undelivered

    def stop(self) -> None:
        """Drop the received bytes and requests, and start no more generators. Call this when this side closes."""
        self.is_stopped = True
        self._decoder.clear()
        self._drop_requests()

    def look_for_packet(self, watched: Watched) -> None:
        """Let *watched* note when the next packet is handled."""
        watched.is_looking = self._has_changed = True

    def _drop_requests(self) -> None:
        for _ in self._requests:  # `run` may be iterating too
            pass

    def is_interrupting(self) -> bool:
        """Return whether the peer may still be sending: received input is unhandled, and the stream has not ended."""
        return not self.has_ended and (
            self.has_lost_framing or length_hint(self._requests) > 0 or self._decoder.holds_input
        )

    def claim(self, exc: BaseException) -> None:
        """Mark *exc* as an error of this connection."""
        if self.origin is None:
            self.origin = Origin()
        self.origin.claim(exc)

    def is_disconnection(self, exc: BaseException) -> bool:
        """Return whether *exc*, an error of the transport, is handled like the end of the stream.

        This includes an error that the transport raises again after a generator received it: the connection is broken
        for good. Otherwise, a handler that catches the error and yields again would loop forever.
        """
        if (self.origin is not None and self.origin.is_of(exc)) or (
            isinstance(exc, Exception) and self._is_disconnection is not None and self._is_disconnection(exc)
        ):
            self._was_tls_cut = is_cut_tls(exc)
            return True
        return False

    def describe_cut(self) -> str:
        """Return a description of how the peer's stream was truncated; an empty string if it was not."""
        if not self.has_ended:
            return ""
        pending = self._decoder.pending
        if self._was_tls_cut is None:
            if not pending:
                return ""
            kind, where = "stream ended", ""
        elif self._was_tls_cut:
            kind, where = "TLS stream was cut", "without a closing alert"
        else:
            return ""
        if pending:
            where = f"in the middle of a packet ({pending} byte{'s' if pending != 1 else ''})"
        return f"the {kind} {where}"

    def _parse(self, yielded: object) -> Any:
        """Return the requirement of a generator that *yielded* this object: `BYTES` or a `Wait`."""
        timeout, ancillary = parse_yielded(yielded)
        if ancillary is not None and self.ancillary_bufsize is None:
            raise UnsupportedOperation("The server was started without 'ancillary_bufsize'")
        if self._draining is not None:
            self._draining.timeout = _LONG_TIME if timeout is None else min(timeout, _LONG_TIME)
            timeout = 0
        return BYTES if timeout is None and ancillary is None else Wait(timeout, ancillary)

    def _take_special(self, received: Any, wait: Any) -> tuple[Any, Any]:
        """Unpack *received*, the driver's answer to *wait*. Return the bytes, and the wait to yield if more are needed.

        The bytes are None if the connection is draining and nothing has arrived.

        Raises:
            TimeoutError: the timeout expired.
            RuntimeError: the callback for ancillary data failed. The bytes are lost.
        """
        draining = self._draining
        if draining is not None and wait is not MORE and wait is not draining.completion:
            draining.completion = None
        if received is None:
            if draining is not None and draining.completion is None:
                return None, MORE
            raise TimeoutError("No request was received in time")
        found = received[0] if isinstance(received, tuple) else received
        if draining is not None and found:
            draining.has_heard = self._has_changed = True
            if draining.completion is None:
                draining.unread -= found if isinstance(found, int) else len(found)
                draining.has_looked = draining.unread <= 0
        if not isinstance(received, tuple):
            return received, MORE
        received, ancillary_data = received
        if received:
            hand_over(ancillary_data, wait.ancillary.data_received)
        return received, _ONE_READ

    def _wait_while_draining(self, wait: Any) -> Any:
        """Return the next wait while the connection is draining, in place of *wait*. At the end of the stream, None.

        Look for bytes that have arrived, but that the driver has not seen yet, until a look finds none. After that,
        wait only for the end of a request that has begun, and as long as the handler does: a peer that always has
        requests in flight must not keep the connection open.
        """
        draining = self._draining
        assert draining is not None
        if wait is not MORE:
            draining.completion = None
        if self._decoder.pending:
            draining.has_heard = True
        if not draining.has_looked:
            draining.has_looked = True
            return Wait(0, wait.ancillary if isinstance(wait, Wait) else None)
        if self._decoder.pending and draining.completion is not None:  # the same request is still incomplete
            return MORE
        if self._decoder.pending and not draining.has_completed:
            draining.has_completed = True
            draining.completion = Wait(draining.timeout)
            return draining.completion
        self.has_ended = True
        return None

    def _note_failure(self, exc: BaseException) -> None:
        """Note that a wait for a request has failed because of *exc*."""
        if self._draining is not None and (isinstance(exc, TimeoutError) or not isinstance(exc, Exception)):
            # It was cancelled or timed out: the next wait is for the same request.
            self._draining.has_looked = self._draining.has_completed = False
        if self.watched is not None:
            self.watched.is_looking = False
        if (traffic := self.traffic) is not None and isinstance(exc, BaseProtocolParseError):
            traffic.invalid_packets += 1

    def _ends_connection(self, exc: Exception) -> bool:
        # If this side closes a transport while a task receives from it, the type of the error is not specified.
        return self.is_stopped or self.is_disconnection(exc)

    def _changed_generator(self) -> tuple[HandlerGenerator[_T_Request], Any]:
        """Return the current generator, which a driver may have changed, and its ``asend``."""
        assert self.generator is not None
        return self.generator, self.generator.asend

    def _next_step(self, agen: HandlerGenerator[_T_Request]) -> Any:
        """Return the step that a driver has begun, or one that throws the error."""
        # A local variable of `run` must not hold the error: it would form a reference cycle with its traceback.
        if (begun := self._step) is not None:
            self._step = None
            return begun.step
        error, self._error = self._error, None
        assert error is not None
        return agen.athrow(error)
