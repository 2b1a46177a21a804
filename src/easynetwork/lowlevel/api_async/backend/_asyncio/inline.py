"""The inline driver: handlers run right in the callback that delivers their bytes.

The task that awaits `InlineDriver.run` is the connection's *carrier*. It is parked on a future while the dispatcher
waits for bytes. A callback that brings some resumes the dispatcher itself, as if it were the carrier: the same current
task, the same context. Only when a handler suspends (or fails, or the stream has ended) is the carrier woken, and goes
on from there as an ordinary task. See "Extending asyncio" in Python's documentation.
"""

from __future__ import annotations

__all__ = ["InlineDriver", "new_inline_driver"]

import asyncio
import contextvars
import enum
import gc
import sys
import types
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final

from easynetwork.lowlevel._dispatch import Ending, HandlerGenerator, RequestDispatcher
from easynetwork.lowlevel._framing import SupportsAppend
from easynetwork.lowlevel.api_async.transports import _pull

from .watermarks import HIGH_WATER

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport

    from .stream import StreamCallbacks


class _Token(enum.Enum):
    WAITING = "what the dispatcher yields when it waits for bytes, or for its turn"


# Constants: looking a member up in its enumeration takes as long as calling a function.
_TOKEN: Final = _Token.WAITING
_WAITING: Final = (_TOKEN,)


class InlineDriver(asyncio.BaseProtocol):
    """Resumes one dispatcher from the callbacks of one stream. While it runs, it is the protocol of the transport.

    Not an `asyncio.Protocol` by name: uvloop takes whatever derives from that for one that wants ``bytes``.
    """

    __slots__ = (
        "_callbacks",
        "_carrier",
        "_context",
        "_decoder_input",
        "_dispatcher",
        "_failure",
        "_parked",
        "_run",
        "_send",
        "_suspended",
        "_timer",
        "_transport",
        "_turn_due",
    )

    _carrier: asyncio.Task[Any]
    _context: contextvars.Context
    _run: Generator[Any, Any, Ending]
    _send: Callable[[None], Any]
    _decoder_input: SupportsAppend

    def __init__(
        self, transport: AsyncStreamTransport, callbacks: StreamCallbacks, dispatcher: RequestDispatcher[Any]
    ) -> None:
        self._transport = transport
        self._callbacks = callbacks
        self._dispatcher = dispatcher
        self._parked: asyncio.Future[None] | None = None  # the carrier, while the dispatcher waits
        self._turn_due = False  # it waits for its turn, not for bytes
        # What a callback leaves for the carrier. It cannot be the result of the parked future: a handler that cancels
        # its own task has cancelled that future by then.
        self._suspended: Any = _TOKEN  # what a handler has suspended with: a future, or None for ``sleep(0)``
        self._failure: BaseException | None = None  # how the dispatcher ended; StopIteration if well
        self._timer: asyncio.TimerHandle | None = None  # fires at the deadline or before

    # ------------------------------------------------------------------------------------------------- in the carrier

    @types.coroutine
    def run(self, next_generator: Callable[[], HandlerGenerator[Any] | None]) -> Generator[Any, Any, Ending]:
        """Runs the dispatcher until its generators or the stream end."""
        callbacks = self._callbacks
        carrier = asyncio.current_task()
        assert carrier is not None
        self._carrier = carrier
        self._context = _context_of(carrier)
        run: Generator[Any, Any, Ending] = self._dispatcher.run(next_generator, self)
        self._run = run
        self._send = run.send
        self._decoder_input = self._dispatcher.input
        callbacks.receiver = self
        callbacks.set_protocol(self)
        try:
            yielded = run.send(None)
            while True:
                if yielded is _TOKEN:
                    self._parked = parked = callbacks.loop.create_future()
                    try:
                        yield from parked
                    except asyncio.CancelledError as exc:
                        self._parked = None
                        yielded = self._unpark_cancelled(exc)
                    else:
                        self._parked = None
                        yielded = self._unpark()
                else:
                    try:
                        yield yielded
                    except BaseException as exc:
                        yielded = run.throw(exc)
                    else:
                        yielded = run.send(None)
        except StopIteration as stop:
            ending: Ending = stop.value
            return ending
        finally:
            callbacks.receiver = None
            callbacks.set_protocol(callbacks)
            if self._timer is not None:
                self._timer.cancel()

    def _unpark(self) -> Any:
        """Goes on from where a callback has left off."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure  # no cycle of an exception and its own traceback
        suspended, self._suspended = self._suspended, _TOKEN
        return self._run.send(None) if suspended is _TOKEN else suspended

    def _unpark_cancelled(self, exc: asyncio.CancelledError) -> Any:
        """Does what `asyncio.Task.cancel` does: it goes to what is waited for first."""
        if self._failure is not None:
            # The dispatcher has ended before: that comes first. The request stays in force for the next await.
            self._carrier.uncancel()
            self._carrier.cancel(*exc.args)
            return self._unpark()
        suspended, self._suspended = self._suspended, _TOKEN
        if suspended in (_TOKEN, None) or not suspended.cancel(*exc.args):
            return self._run.throw(exc)
        return suspended

    # ---------------------------------------------------------------------------------- called by the dispatcher's run

    def more(self) -> Iterable[Any]:
        """Waits for bytes. Looks first for anything that is there already, or is asked for seldom."""
        callbacks, dispatcher = self._callbacks, self._dispatcher
        if callbacks.received.nbytes and not callbacks.closing:
            dispatcher.input.append(callbacks.take_received())
            return ()
        if callbacks.ended:
            error = callbacks.error
            if error is not None and not callbacks.closing and not dispatcher.is_disconnection(error):
                raise error
            dispatcher.disconnected = True
            return ()
        if dispatcher.ancillary is not None or dispatcher.spent:
            return _pull.receive(self._transport, dispatcher).__await__()
        callbacks.resume_reading()
        if dispatcher.timeout is None:
            dispatcher.waiting_token = _TOKEN  # until `wake` is called, or another wait is asked for
        elif dispatcher.deadline is None:
            self._begin_timeout(dispatcher.timeout)
        return _WAITING

    def pass_turn(self) -> Iterable[Any]:
        """One connection must not keep all others waiting: the rest of its packets, in the next turn of the loop."""
        self._turn_due = True
        self._dispatcher.waiting_token = None
        self._callbacks.pause_reading()
        self._callbacks.loop.call_soon(self._take_turn)
        return _WAITING

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def data_received(self, data: bytes, error: Exception | None = None) -> None:
        """Resumes the dispatcher, as if in the carrier, with *data*, or with *error*."""
        callbacks, parked = self._callbacks, self._parked
        if parked is None or self._turn_due or parked.done():
            callbacks.keep(data)  # the carrier is busy
            return
        try:
            _enter_task(callbacks.loop, self._carrier)
        except RuntimeError:  # within another task: no handler runs on top of it
            callbacks.keep(data)
            return
        callbacks.flush_due = True
        callbacks.room = HIGH_WATER if callbacks.writable else 0
        try:
            if data:
                self._decoder_input.append(data)
            if error is None:
                suspended = self._context.run(self._send, None)
            else:
                suspended = self._context.run(self._run.throw, error)
            if suspended is not _TOKEN:
                self._suspended = suspended
                self.wake()
        except BaseException as exc:
            self._failure = exc
            self.wake()
        finally:
            _leave_task(callbacks.loop, self._carrier)
            callbacks.flush_due = False
            callbacks.room = 0
            if len(callbacks.parts) == 1:
                callbacks.transport.write(callbacks.parts.pop())
            elif callbacks.parts:
                callbacks.flush()

    def eof_received(self) -> bool:
        return self._callbacks.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._callbacks.connection_lost(exc)

    def pause_writing(self) -> None:
        self._callbacks.pause_writing()

    def resume_writing(self) -> None:
        self._callbacks.resume_writing()

    def is_waiting(self) -> bool:
        """Whether bytes would go straight to the dispatcher, and not be kept for later."""
        return self._parked is not None and not (self._parked.done() or self._turn_due)

    def wake(self) -> None:
        """Something other than bytes for the dispatcher has come: the carrier looks after it."""
        self._dispatcher.waiting_token = None
        if self._parked is not None and not self._parked.done():
            self._parked.set_result(None)

    def _take_turn(self) -> None:
        self._turn_due = False
        self.data_received(b"")

    # ------------------------------------------------------------------------------------------------------- time-outs

    def _begin_timeout(self, timeout: float) -> None:
        loop = self._callbacks.loop
        deadline = self._dispatcher.deadline = loop.time() + timeout
        if timeout > 0:
            self._arm_timer(deadline)
        else:
            # Two turns: the loop looks at the socket in between, so that what has arrived is not "too late".
            loop.call_soon(loop.call_soon, self._check_deadline)

    def _arm_timer(self, deadline: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return  # it will be armed again when it fires: cheaper than a new timer for each packet
            self._timer.cancel()
        self._timer = self._callbacks.loop.call_at(deadline, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        self._check_deadline()

    def _check_deadline(self) -> None:
        deadline = self._dispatcher.deadline
        if deadline is None or self._parked is None:
            return
        if self._callbacks.loop.time() < deadline:
            self._arm_timer(deadline)
        else:
            self.data_received(b"", TimeoutError("No request was received in time"))
            if self._dispatcher.deadline == deadline:
                self._arm_timer(deadline)  # the carrier is about to run: the question is the same after it


class _BufferedInlineDriver(InlineDriver, asyncio.BufferedProtocol):
    """Has the loop write what it receives right into the buffer of the decoder."""

    __slots__ = ("_lent", "_spare")

    _lent: bool
    _spare: memoryview

    def get_buffer(self, sizehint: int) -> memoryview:
        parked, buffered = self._parked, self._dispatcher.buffered
        assert buffered is not None
        self._lent = parked is not None and not self._turn_due and not parked.done()
        if self._lent:
            try:
                return buffered.get_buffer()
            except Exception:
                self._lent = False  # raised again when the dispatcher asks for a packet: there it reaches the handler
        self._spare = memoryview(bytearray(HIGH_WATER))
        return self._spare

    def buffer_updated(self, nbytes: int) -> None:
        if self._lent:
            assert self._dispatcher.buffered is not None
            self._dispatcher.buffered.buffer_updated(nbytes)
            self.data_received(b"")
        else:
            data = bytes(self._spare[:nbytes])
            del self._spare
            self.data_received(data)


def new_inline_driver(
    transport: AsyncStreamTransport, callbacks: StreamCallbacks, dispatcher: RequestDispatcher[Any]
) -> InlineDriver:
    """Returns the driver that suits the decoder of *dispatcher*."""
    driver_type = InlineDriver if dispatcher.buffered is None else _BufferedInlineDriver
    return driver_type(transport, callbacks, dispatcher)


def _context_of(task: asyncio.Task[Any]) -> contextvars.Context:
    """Returns the context that *task*, the current one, runs in: the object, not a copy."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    # Python 3.11 hides it. The garbage collector knows it, and only the current one refuses to be entered again.
    for obj in gc.get_referents(task):
        if type(obj) is contextvars.Context:
            try:
                obj.run(int)
            except RuntimeError:
                return obj
    raise RuntimeError(f"The context of {task!r} cannot be found")
