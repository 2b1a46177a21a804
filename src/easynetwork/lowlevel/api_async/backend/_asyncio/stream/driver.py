"""The inline driver of streams: handlers run in the callback that delivers their bytes.

The task that awaits `InlineDriver.run` is the carrier of the dispatcher, as explained in
:mod:`easynetwork.lowlevel.api_async.backend._asyncio.tasks.steppable`.
"""

from __future__ import annotations

__all__ = [
    "InlineDriver",
    "OwnBufferDriver",
    "SharedBufferDriver",
    "UnixOwnBufferDriver",
    "UnixSharedBufferDriver",
]

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from easynetwork._acceleration import with_shortcut
from easynetwork.lowlevel._core.handler_generators import NextGenerator
from easynetwork.lowlevel._core.requirements import BYTES, MORE, TURN, Wait
from easynetwork.lowlevel._core.stream_dispatch import Ending, StreamDispatcher, check_finished
from easynetwork.lowlevel.api_async.backend._asyncio.tasks.steppable import PARKED, Steppable
from easynetwork.lowlevel.api_async.backend._asyncio.tasks.turns import wait_for_turn
from easynetwork.lowlevel.api_async.transports._pull import receive, receive_until

from .protocol import AsyncioStream, AttachedDriver
from .shared_buffer import SharedBufferProtocol
from .watermarks import HIGH_WATER

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import CancelScope
    from easynetwork.lowlevel.api_async.transports.abc import AsyncStreamTransport


class InlineDriver(Steppable, AttachedDriver):
    """A driver that steps the dispatcher of one connection in the callbacks of its stream.

    The constructor makes the driver the protocol of the loop's transport.
    """

    __slots__ = (
        "_deadline",
        "_dispatcher",
        "_early",
        "_next_generator",
        "_required",
        "_send",
        "_stream",
        "_transport",
        "_waiting",
        "requests",
    )

    requests: Any
    _send: Callable[[Any], Any]

    def __init__(
        self, transport: AsyncStreamTransport, stream: AsyncioStream, dispatcher: StreamDispatcher[Any]
    ) -> None:
        super().__init__(stream.loop)
        self._transport = transport
        self._stream = stream
        self._dispatcher = dispatcher
        # The requirement of the parked dispatcher: BYTES, MORE or TURN. PARKED once a TURN has been granted.
        self._required: Any = BYTES
        self._deadline: float | None = None
        # The only chunk received before the carrier starts. It needs no queue, which short connections notice. None
        # once the carrier has started, or if there are more chunks.
        self._early: bytes | None = b""
        self._waiting: CancelScope | None = None  # the scope of the current wait with ancillary data
        self.requests = None
        self._next_generator: NextGenerator[Any] | None = None  # for the compiled `step`; None if the stream is lost
        stream.attach(self)

    # ------------------------------------------------------------------------------------------------- in the carrier

    def run(self, next_generator: NextGenerator[Any]) -> Coroutine[Any, Any, Ending]:
        """Run the dispatcher until no generator is left or the stream ends. One task at a time may await this."""
        check_finished(self.requests)
        self.requests = self._dispatcher.run(next_generator)
        self._send = self.requests.send
        if not self._stream.lost:
            self._next_generator = next_generator
        return self.carry()

    def look_again(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._loop.call_soon(self._time_out)  # the caller may be a task, and a handler must not run inside it

    def set_transport(self, transport: AsyncStreamTransport) -> None:
        self._transport = transport

    def _start(self) -> Any:
        yielded: Any = None
        try:
            yielded = self._send(None)
        finally:
            early, self._early = self._early, None  # only now: the handler may have started TLS, which takes the chunk
            if early and not (yielded is BYTES and not self._stream.closing):
                self._stream.keep(early)
                early = None
        return self._settle(self._send(early) if early else yielded)

    def _look(self) -> Any:
        return self._settle(self._required)

    def _resume(self, answer: Any) -> Any:
        return self._settle(self._send(answer))

    def _throw(self, exc: BaseException) -> Any:
        return self._settle(self.requests.throw(exc))

    def _settle(self, yielded: Any) -> Any:
        """Resume the dispatcher as long as its requirements can be met now. Return what the carrier does next.

        Callbacks call this too, in place of the carrier.
        """
        stream = self._stream
        while True:
            if yielded is BYTES:
                self._deadline = None
            elif yielded is MORE:
                if self._timer is None and self._deadline is not None:
                    self._arm_timer(self._deadline, is_due=True)
            elif yielded is TURN:
                self._required = TURN
                wait_for_turn(self._loop, self._end_turn)
                return PARKED
            elif not isinstance(yielded, Wait):
                return yielded  # the handler awaits something
            elif yielded.ancillary is not None:
                return self._receive_with_ancillary(yielded)
            else:
                assert yielded.timeout is not None
                self._deadline = self._begin_timeout(yielded.timeout)
                yielded = MORE
            self._required = yielded
            if stream.received.nbytes and not stream.closing:
                yielded = self._send(stream.take_received())
            elif not stream.ended:
                stream.resume_reading()
                return PARKED
            elif stream.error is None or stream.closing:
                yielded = self._send(b"")
            else:
                yielded = self.requests.throw(stream.error)

    async def _receive_with_ancillary(self, wait: Wait) -> Any:
        try:
            with self._transport.backend().open_cancel_scope() as self._waiting:
                if wait.timeout is None:
                    return await receive(self._transport, self._dispatcher, with_ancillary=True)
                deadline = self._loop.time() + wait.timeout
                return await receive_until(self._transport, self._dispatcher, deadline, with_ancillary=True)
        finally:
            self._waiting = None
        return None  # it was told to look again

    # ----------------------------------------------------------------------------------------------- in the callbacks

    @with_shortcut
    def step(self, received: Any) -> None:
        """Resume the dispatcher with *received*, as if in the carrier. Keep the bytes if it cannot take them now."""
        if self._wakeup is None or self._required is TURN:
            self._keep(received)
            return
        stream, loop, task = self._stream, self._loop, self._task
        try:
            _enter_task(loop, task)
        except RuntimeError:  # another task is running, and a handler must not run inside it
            self._keep(received)
            self.wake()
            return
        if stream.writable:
            stream.capacity = HIGH_WATER
        state: Any = PARKED
        try:
            yielded = self._context.run(self._send, received)
            if yielded is not self._required:
                if yielded is TURN and self._required is not PARKED:  # the loop has just given others their turn
                    yielded = self._context.run(self._send, None)
                state = self._context.run(self._settle, yielded)
        except BaseException as exc:
            self._failure, state = exc, None
        finally:
            _leave_task(loop, task)
            stream.capacity = 0
            if len(parts := stream.parts) == 1:
                stream.transport.write(parts.pop())
            elif parts:
                stream.flush()
        if state is not PARKED:
            self._suspended = state
            self.wake_now()

    data_received = step

    def _keep(self, received: Any) -> None:
        """Keep bytes that the dispatcher could not take, for the carrier."""
        if not received:
            return
        if self._early is not None and not self._stream.received.nbytes:
            if not self._early:
                self._early = received
                return
            self._stream.keep(self._early)
            self._early = None
        self._stream.keep(received)

    def eof_received(self) -> bool:
        self._stream.ended = True
        if self.is_waiting():
            self.step(b"")
        return True  # keep the sending direction open: a peer that half-closes still expects its responses

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_generator = None  # breaks a reference cycle
        self._stream.connection_lost(exc)

    def pause_writing(self) -> None:
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        self._stream.resume_writing()

    def is_waiting(self) -> bool:
        """Return whether the dispatcher takes bytes now."""
        return self._wakeup is not None and self._required is not TURN

    def take_early(self) -> bytes:
        if not self._early:
            return b""
        early, self._early = self._early, b""
        return early

    def _end_turn(self) -> None:
        if self._wakeup is not None and self._required is TURN:
            self._required = PARKED
            self.step(None)

    def _get_deadline(self) -> float | None:
        return self._deadline

    def _time_out(self) -> None:
        if self.is_waiting():
            self.step(None)


class SharedBufferDriver(InlineDriver, SharedBufferProtocol):
    """An inline driver that receives ``bytes``. The loop reads them into a buffer that all connections share."""

    __slots__ = ()


class OwnBufferDriver(InlineDriver, asyncio.BufferedProtocol):
    """An inline driver that lends the buffer of the decoder to the loop.

    The class does not derive from `asyncio.Protocol`, because uvloop passes ``bytes`` to each class that does.
    """

    __slots__ = ("_buffer", "_is_lent")

    _buffer: memoryview
    """The buffer that the loop writes to: the decoder's buffer if `_is_lent`, otherwise a temporary one."""
    _is_lent: bool

    def get_buffer(self, sizehint: int) -> memoryview:
        buffered = self._dispatcher.buffered
        self._is_lent = self.is_waiting() and buffered is not None
        if self._is_lent:
            assert buffered is not None
            try:
                self._buffer = buffered.get_buffer()
                return self._buffer
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                # Copying the received bytes into the decoder raises the error again, where the handler gets it.
                self._is_lent = False
        self._buffer = memoryview(bytearray(HIGH_WATER))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._is_lent:
            self.step(nbytes)
        else:
            self.step(bytes(self._buffer[:nbytes]))
        del self._buffer

    def _keep(self, received: Any) -> None:
        super()._keep(bytes(self._buffer[:received]) if isinstance(received, int) else received)


class _UnixDriver(InlineDriver):
    """A driver of a Unix stream, whose handler may ask for ancillary data each time that the carrier runs."""

    __slots__ = ()

    def wake(self) -> None:
        self._read_nothing_ahead()
        super().wake()

    def wake_now(self) -> None:
        self._read_nothing_ahead()
        super().wake_now()

    def _read_nothing_ahead(self) -> None:
        """Pause reading until the carrier has run, if the handler may then ask for ancillary data."""
        if not (self._stream.reads_ahead or self._stream.closing):
            self._stream.pause_reading()


class UnixSharedBufferDriver(_UnixDriver, SharedBufferDriver):
    """A `SharedBufferDriver` of a Unix stream."""

    __slots__ = ()


class UnixOwnBufferDriver(_UnixDriver, OwnBufferDriver):
    """An `OwnBufferDriver` of a Unix stream."""

    __slots__ = ()
