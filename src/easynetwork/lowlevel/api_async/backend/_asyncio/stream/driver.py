"""The inline driver of streams: handlers run right in the callback that delivers their bytes.

The task that awaits `InlineDriver.run` is the carrier of the connection, see :mod:`.carrier`.
"""

from __future__ import annotations

__all__ = ["InlineDriver", "OwnBufferDriver", "SharedBufferDriver"]

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final

from easynetwork.lowlevel._core.stream_dispatch import Ending, NextGenerator, RequestDispatcher
from easynetwork.lowlevel.api_async.backend._asyncio.tasks.steppable import WAITING, Carrier
from easynetwork.lowlevel.api_async.transports import _pull

from .protocol import StreamCallbacks, StreamReceiver
from .shared_buffer import SharedBufferProtocol
from .watermarks import HIGH_WATER

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport


_WAITING: Final = (WAITING,)


class InlineDriver(Carrier, StreamReceiver):
    """Resumes one dispatcher from the callbacks of one stream. From its creation on, it is the transport's protocol."""

    __slots__ = (
        "_callbacks",
        "_dispatcher",
        "_first",
        "_is_late",
        "_run",
        "_send",
        "_takes_first",
        "_transport",
        "_turn_due",
    )

    _run: Generator[Any, Any, Ending]
    _send: Callable[[bytes | None], Any]

    def __init__(
        self, transport: AsyncStreamTransport, callbacks: StreamCallbacks, dispatcher: RequestDispatcher[Any]
    ) -> None:
        super().__init__(callbacks.loop)
        self._transport = transport
        self._callbacks = callbacks
        self._dispatcher = dispatcher
        self._turn_due = False  # the dispatcher waits for its turn, not for bytes
        self._is_late = False  # no request has come in time
        self._first = b""  # what has come before the carrier has begun: just the first chunk, others are kept
        self._takes_first = not callbacks.received.nbytes  # nothing is older
        callbacks.deliver_to(self)

    # ------------------------------------------------------------------------------------------------- in the carrier

    def run(self, next_generator: NextGenerator[Any]) -> Coroutine[Any, Any, Ending]:
        """Runs the dispatcher until its generators or the stream end."""
        self._run = self._dispatcher.run(next_generator, self)
        return self.carry()

    def _begin(self) -> Any:
        self._takes_first = False
        self._send = send = self._run.send
        callbacks, dispatcher = self._callbacks, self._dispatcher
        if not self._first or callbacks.received.nbytes or callbacks.ended:
            dispatcher.waiting_token = None  # of the last run
            return send(None)
        # Nothing but that chunk has come: as if it had not yet, it takes the shortest way, that of all others.
        dispatcher.waiting_token = WAITING
        yielded = send(None)
        # Unless it waits for its turn, or for no longer than some time, or `more` has taken that chunk.
        if yielded is WAITING and self._dispatcher.waiting_token is not None and self._first:
            first, self._first = self._first, b""
            return send(first)
        return yielded

    def _resume(self) -> Any:
        self._dispatcher.waiting_token = None  # it has to look for itself
        if self._is_late:
            self._is_late = False
            return self._run.throw(TimeoutError("No request was received in time"))
        return self._run.send(None)

    def _throw(self, exc: BaseException) -> Any:
        self._dispatcher.waiting_token = None  # this ends the wait, if it is one
        self._is_late = False
        return self._run.throw(exc)

    # ---------------------------------------------------------------------------------- called by the dispatcher's run

    def more(self) -> Iterable[Any]:
        """Waits for bytes. Looks first for anything that is there already, or is asked for seldom."""
        callbacks, dispatcher = self._callbacks, self._dispatcher
        if self._first:
            first, self._first = self._first, b""
            if not callbacks.closing:
                dispatcher.input.append(first)
            return ()
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
        if callbacks.reading_paused:
            callbacks.resume_reading()
        if dispatcher.timeout is None:
            dispatcher.waiting_token = WAITING  # until the carrier goes on, or another wait is asked for
            return ()
        if dispatcher.deadline is None:
            dispatcher.deadline = self._begin_timeout(dispatcher.timeout)
        elif self._timer is None:  # it has fired while the carrier was about to run
            self._arm_timer(dispatcher.deadline, is_due=True)
        return _WAITING

    def pass_turn(self) -> Iterable[Any]:
        """One connection must not keep all others waiting: the rest of its packets, in the next turn of the loop."""
        self._turn_due = True
        self._dispatcher.waiting_token = None
        self._callbacks.pause_reading()
        self._callbacks.loop.call_soon(self._take_turn)
        return _WAITING

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def data_received(self, data: bytes | None) -> None:
        """Resumes the dispatcher, as if in the carrier, with *data*; None if it has the bytes."""
        if self._wakeup is None or self._dispatcher.waiting_token is None:
            if not self._feed_or_keep(data):
                return
            data = None
        callbacks, loop, task = self._callbacks, self._loop, self._task
        try:
            _enter_task(loop, task)
        except RuntimeError:  # within another task: no handler runs on top of it
            callbacks.keep(data)
            self._read_nothing_ahead()
            self.wake()  # also if the dispatcher has the bytes
            return
        if callbacks.writable:
            callbacks.room = HIGH_WATER
        try:
            suspended = self._context.run(self._send, data)
            if suspended is not WAITING:
                self._suspended = suspended
        except BaseException as exc:
            self._failure, suspended = exc, None
        finally:
            _leave_task(loop, task)
            callbacks.room = 0
            if len(parts := callbacks.parts) == 1:
                callbacks.transport.write(parts.pop())
            elif parts:
                callbacks.flush()
        if suspended is not WAITING:
            if not callbacks.reads_ahead:
                callbacks.pause_reading()
            self.wake_now()

    def _feed_or_keep(self, data: bytes | None) -> bool:
        """Returns whether the dispatcher, which does not wait for bytes alone, is to be resumed. It has *data* then."""
        if self.is_waiting():
            if data is not None:
                self._dispatcher.input.append(data)
            return True
        if data and self._takes_first:
            self._takes_first = False
            self._first = data
        else:
            self._callbacks.keep(data)  # the carrier is busy
        return False

    def eof_received(self) -> bool:
        if not self.is_waiting():
            return self._callbacks.eof_received()
        # All has been received before: the handler, and mostly the connection, can end right here.
        self._callbacks.ended = self._dispatcher.disconnected = True
        self.wake_now()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._callbacks.connection_lost(exc)

    def pause_writing(self) -> None:
        self._callbacks.pause_writing()

    def resume_writing(self) -> None:
        self._callbacks.resume_writing()

    def is_waiting(self) -> bool:
        """Whether bytes would go straight to the dispatcher, and not be kept for later."""
        return self._wakeup is not None and not self._turn_due

    def _take_turn(self) -> None:
        self._turn_due = False
        self.data_received(None)

    def _get_deadline(self) -> float | None:
        return None if self._is_late else self._dispatcher.deadline

    def _time_out(self) -> None:
        if self.is_waiting():
            self._is_late = True
            self._read_nothing_ahead()
            self.wake_now()

    def cancel(self, msg: object = None) -> bool:
        self._read_nothing_ahead()
        return super().cancel(msg)

    def _read_nothing_ahead(self) -> None:
        """Stop reading until the carrier has run, if the handler may ask for ancillary data then."""
        if not self._callbacks.reads_ahead:
            self._callbacks.pause_reading()


class SharedBufferDriver(InlineDriver, SharedBufferProtocol):
    """Gets ``bytes``, which the loop reads into a buffer that all connections share."""

    __slots__ = ()


class OwnBufferDriver(InlineDriver, asyncio.BufferedProtocol):
    """Has the loop write what it receives right into the buffer of the decoder.

    Not an `asyncio.Protocol` by name: uvloop takes whatever derives from that for one that wants ``bytes``.
    """

    __slots__ = ("_lent", "_spare")

    _lent: bool
    _spare: memoryview

    def get_buffer(self, sizehint: int) -> memoryview:
        buffered = self._dispatcher.buffered
        assert buffered is not None
        self._lent = self.is_waiting()
        if self._lent:
            try:
                return buffered.get_buffer()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                self._lent = False  # raised again when the dispatcher asks for a packet: there it reaches the handler
        self._spare = memoryview(bytearray(HIGH_WATER))
        return self._spare

    def buffer_updated(self, nbytes: int) -> None:
        if self._lent:
            assert self._dispatcher.buffered is not None
            self._dispatcher.buffered.buffer_updated(nbytes)
            self.data_received(None)
        else:
            data = bytes(self._spare[:nbytes])
            del self._spare
            self.data_received(data)
