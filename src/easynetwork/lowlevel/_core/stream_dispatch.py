"""One connection's handler generators and what they wait for, without any I/O.

A handler is an asynchronous generator: ``request = yield``. The dispatcher turns received bytes into requests and takes
the generator from one ``yield`` to the next. It knows no transport and no event loop. A driver, which does, awaits
`RequestDispatcher.run`, and tells it how to wait for more bytes.
"""

from __future__ import annotations

__all__ = [
    "DISCONNECTED",
    "NEVER_YIELDED",
    "RETURNED",
    "STEPS_PER_TURN",
    "Ending",
    "HandlerGenerator",
    "NextGenerator",
    "RequestDispatcher",
    "RequestRunner",
    "parse_yielded",
]

import enum
import math
import sys
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Iterator
from operator import length_hint
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams

from .errors import is_cut_tls
from .faults import Origin, closes_coroutine, no_async_generator, raise_without_generator_exit
from .stream_decoders.interface import NEED_DATA, FramingLostError, NeedData, StreamDecoder

_T_Request = TypeVar("_T_Request")

HandlerGenerator: TypeAlias = AsyncGenerator[float | RecvParams | None, _T_Request]

STEPS_PER_TURN: Final = 64
"""How many steps one connection may take before all others get their turn."""


class Ending(enum.Enum):
    """Why there is nothing more to do."""

    RETURNED = "the last generator has returned"
    NEVER_YIELDED = "a generator has returned before its first yield"
    DISCONNECTED = "the connection ended"


# Constants: looking a member up in its enumeration takes as long as calling a function.
RETURNED: Final = Ending.RETURNED
NEVER_YIELDED: Final = Ending.NEVER_YIELDED
DISCONNECTED: Final = Ending.DISCONNECTED

NextGenerator: TypeAlias = Callable[[], HandlerGenerator[_T_Request] | None]
"""Makes a handler generator, or returns None if there is to be no other."""

RequestRunner: TypeAlias = Callable[[NextGenerator[Any]], Coroutine[Any, Any, Ending]]
"""Feeds the requests of one connection to handler generators. To be awaited by one task; any number of times."""


class _Nothing(enum.Enum):
    REFUSED = "the generator has yielded something that is not allowed"
    SPENT = "what the generator has yielded allows no further read"


class RequestDriver(Protocol):
    """Who brings the bytes to a dispatcher."""

    def more(self) -> Generator[Any, Any, bool] | Iterable[Any]:
        """Waits for bytes (by ``yield from``) and feeds them, or sets `RequestDispatcher.disconnected`.

        What it raises is thrown at the current ``yield`` of the handler. Returns true if it may not have let others
        run.
        """

    def pass_turn(self) -> Iterable[Any]:
        """Lets others run (by ``yield from``)."""


def parse_yielded(yielded: object) -> tuple[float | None, RecvAncillaryDataParams | None]:
    """Returns what a handler that has *yielded* this asks for: the longest time to wait, and the ancillary data.

    Raises:
        TypeError: nothing like this may be yielded.
        ValueError: the time is negative or NaN, and all else is as it should be.
    """
    params = RecvParams(timeout=yielded) if isinstance(yielded, (int, float)) else yielded
    if params is None:
        return None, None
    if not isinstance(params, RecvParams):
        raise TypeError(f"A request handler may yield None, a number or RecvParams, got {yielded!r}")
    timeout, ancillary = params.timeout, params.recv_with_ancillary
    try:
        is_valid = timeout is None or timeout >= 0
    except TypeError:
        raise TypeError(f"The timeout of a yield must be None or a number, got {timeout!r}") from None
    if ancillary is not None and not callable(getattr(ancillary, "data_received", None)):
        raise TypeError(f"'recv_with_ancillary' must be None or RecvAncillaryDataParams, got {ancillary!r}")
    if not is_valid:
        raise ValueError(f"The timeout of a yield must not be negative or NaN, got {timeout!r}")
    return None if timeout == math.inf else timeout, ancillary


_NO_PACKETS: Final[list[Any]] = []
_EXHAUSTED: Final[Iterator[Any]] = iter(())


class RequestDispatcher(Generic[_T_Request]):
    """Feeds the requests of one connection to handler generators, one generator after the other."""

    __slots__ = (
        "_decoded",
        "_decoder",
        "_disconnection",
        "_is_disconnection",
        "_packets",
        "_yielded",
        "ancillary",
        "ancillary_bufsize",
        "buffered",
        "deadline",
        "disconnected",
        "input",
        "max_recv_size",
        "origin",
        "spent",
        "stopped",
        "timeout",
        "waiting_token",
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
        self._disconnection: BaseException | None = None  # how the connection ended, if not in an orderly way
        self._decoded: list[_T_Request] = _NO_PACKETS
        self._packets: Iterator[_T_Request] = _EXHAUSTED  # what of it is not yet handed over, in this run or the next
        self._yielded: object = None  # at the current yield
        self.stopped: bool = False
        """Whether the connection is being closed from this side."""

        self.input: Final = decoder.input
        """Takes received bytes."""
        self.buffered: Final = decoder.buffered
        """Takes them without a copy, if there is such a way."""
        self.max_recv_size: Final = max_recv_size
        self.ancillary_bufsize: Final = ancillary_bufsize
        self.timeout: float | None = None
        """Longest time to wait for the next request, in seconds; None for ever."""
        self.deadline: float | None = None
        """When that time is over, noted here by the driver; None again once a request came."""
        self.ancillary: RecvAncillaryDataParams | None = None
        """Set when the next request is to be received together with ancillary data, in one read."""
        self.spent: bool = False
        """Whether that one read was made."""
        self.waiting_token: object = None
        """What to yield instead of asking the driver, who set it, since nothing but bytes can come at present: the
        coroutine is resumed with those, or with None if it has to look for itself."""
        self.disconnected: bool = False
        """Set by the driver when no more bytes will come."""
        self.origin: Origin | None = None
        """Where the errors of this connection come from; None before the first one."""

    @types.coroutine
    def run(
        self,
        next_generator: NextGenerator[_T_Request],
        driver: RequestDriver,
    ) -> Generator[Any, Any, Ending]:
        """Feeds requests to the generators that *next_generator* makes, one after the other, until it makes none.

        What a generator raises propagates. The last one is closed in all cases.

        Parameters:
            next_generator: makes a generator, or returns None.
            driver: who knows how to wait.
        """
        # A generator-based coroutine, so that a driver can have it wait by a plain ``yield`` of a token, which costs
        # nothing: most callbacks of a connection begin and end at that very ``yield``.
        steps = 0
        packets = self._packets
        dry = False  # there are none
        drained = False  # and the decoder has none either
        lone: _T_Request | NeedData = NEED_DATA
        decoder = self._decoder
        firstiter, finalizer = sys.get_asyncgen_hooks()
        while not self.stopped and (agen := next_generator()) is not None:
            has_yielded = False
            error: BaseException | None = None
            try:
                asend = agen.asend
                # Begun without the hooks of the event loop, which would keep a list of all generators, for those that
                # are forgotten half-way. Each of these is brought to its end here.
                sys.set_asyncgen_hooks(None, None)
                try:
                    step = agen.__anext__()
                finally:
                    sys.set_asyncgen_hooks(firstiter, finalizer)
                yielded = yield from step
                del step
                while True:
                    # First what was prepared, below, in the round before: Python 3.11 counts all lines up to the one
                    # where StopAsyncIteration is raised, which was a third of what such an end costs.
                    if not has_yielded:
                        has_yielded = True
                    elif error is not None:
                        steps += 1
                        try:
                            yielded = yield from agen.athrow(error)
                        finally:
                            error = None
                    elif lone is not NEED_DATA:  # a single one, and nothing behind it
                        yielded = yield from asend(lone)
                    elif not dry:
                        for packet in packets:  # the way of every packet
                            yielded = yield from asend(packet)
                            if yielded is not self._yielded:
                                break
                        else:
                            # Whoever waits keeps no packet alive.
                            dry = True
                            packet, self._decoded, self._packets = None, _NO_PACKETS, _EXHAUSTED
                    else:
                        try:
                            yield from agen.aclose()
                        except BaseExceptionGroup as group:
                            raise_without_generator_exit(group)
                        return DISCONNECTED
                    try:
                        if steps >= STEPS_PER_TURN:
                            steps = 0
                            yield from driver.pass_turn()
                        if yielded is not self._yielded:
                            self._wait_as(yielded)
                        if dry:
                            lone, chunk = NEED_DATA, None  # whoever waits keeps neither
                            if self.deadline is not None:
                                self.deadline = None
                            while drained or not (decoded := decoder.next_packets(STEPS_PER_TURN)):
                                drained = False
                                if self.disconnected:
                                    break
                                if (token := self.waiting_token) is not None:
                                    chunk = yield token
                                    steps = 0
                                    if chunk is not None:
                                        lone = decoder.next_lone_packet(chunk)
                                        if lone is not NEED_DATA:
                                            drained = True
                                            break
                                elif not (yield from driver.more()):  # type: ignore[func-returns-value]  # None is false
                                    steps = 0
                                    drained = self.waiting_token is not None  # nothing was fed
                                elif (steps := steps + 1) >= STEPS_PER_TURN:
                                    steps = 0
                                    yield from driver.pass_turn()
                            else:
                                drained = decoder.drained
                                steps += len(decoded)
                                if len(decoded) > 1 or not drained:
                                    dry = False
                                    self._decoded, self._packets = decoded, (packets := iter(decoded))
                                    decoded = _NO_PACKETS
                                else:
                                    lone = decoded.pop()
                    except FramingLostError:
                        self.disconnected = True  # from this side: the handler was told why, at the yield before
                    except BaseException as exc:
                        if closes_coroutine(exc):
                            raise
                        self.claim(exc)
                        error = exc
            except StopAsyncIteration:
                if not has_yielded:
                    return NEVER_YIELDED
            except AttributeError:  # here, and not where it comes from, because of the lines that are counted
                if hasattr(agen, "asend"):
                    raise  # it is of the handler
                raise no_async_generator(agen) from None
        return RETURNED

    def is_interrupting(self) -> bool:
        """Return whether the peer is cut short if the connection is closed now: it has sent what was not delivered."""
        return not self.disconnected and (length_hint(self._packets) > 0 or self._decoder.holds_input)

    def stop(self) -> None:
        """Drops what was received, and begins no other generator: the connection is being closed from this side."""
        self.stopped = True
        self._decoder.clear()
        self._decoded.clear()  # this ends the iterator as well

    def take_ancillary_data(self, ancillary_data: Any) -> None:
        """Take what has come in the one read that the current ``yield`` allows, before the bytes are fed.

        Raises:
            RuntimeError: the callback has failed. The bytes are to be dropped.
        """
        assert self.ancillary is not None
        self.spent = True
        self._yielded = _Nothing.SPENT
        try:
            self.ancillary.data_received(ancillary_data)
        except Exception as exc:
            raise RuntimeError("The callback for ancillary data has failed") from exc

    def claim(self, exc: BaseException) -> None:
        """Note that *exc* is an error of this connection, and not of any other origin."""
        if self.origin is None:
            self.origin = Origin()
        self.origin.claim(exc)

    def is_disconnection(self, exc: BaseException) -> bool:
        """Return whether *exc*, raised while waiting for bytes, is how this connection ends.

        An error that comes again after it was raised at a ``yield`` is one, too: the connection is broken for good. A
        handler that catches it and asks for the next request would do so for ever.
        """
        if (self.origin is not None and self.origin.is_of(exc)) or (
            isinstance(exc, Exception) and self._is_disconnection is not None and self._is_disconnection(exc)
        ):
            self._disconnection = exc
            return True
        return False

    def describe_cut(self) -> str:
        """Return how the stream of the peer was cut short; "" unless it was."""
        if not self.disconnected:
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

    def _wait_as(self, yielded: object) -> None:
        if yielded is None:
            self.timeout = self.ancillary = self._yielded = None
            self.spent = False
            return
        self._yielded = _Nothing.REFUSED
        self.waiting_token = None
        self.timeout, ancillary = parse_yielded(yielded)
        if ancillary is not None and self.ancillary_bufsize is None:
            raise UnsupportedOperation("The server was started without 'ancillary_bufsize'")
        self.ancillary = ancillary
        self.spent = False
        self._yielded = yielded
