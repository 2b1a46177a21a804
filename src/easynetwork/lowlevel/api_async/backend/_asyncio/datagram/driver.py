"""The inline driver of datagrams: handlers run in the callback that receives their datagrams."""

from __future__ import annotations

__all__ = ["run_conversations"]

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine
from sys import getrefcount
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import getweakrefcount

from easynetwork._acceleration import with_shortcut
from easynetwork.lowlevel._core.datagram_dispatch import Conversation, DatagramDispatcher
from easynetwork.lowlevel._core.requirements import DATAGRAM, IDLE, NO_MORE, TURN, Wait
from easynetwork.lowlevel.api_async.backend._asyncio.tasks.steppable import PARKED, Steppable

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, TaskGroup


async def run_conversations(
    receive_all: Callable[[Callable[[Any, Any], object]], Coroutine[Any, Any, NoReturn]],
    dispatcher: DatagramDispatcher[Any],
    backend: AsyncBackend,
    task_group: TaskGroup | None,
) -> NoReturn:
    """Run *receive_all*, which calls a function with what it receives and the sender. Run the handlers in these calls.

    If *task_group* is not given, the conversations end with this call. Otherwise, they end when *receive_all* fails,
    or later with their generators.
    """
    loop = asyncio.get_running_loop()
    new_reception = _InlineReception if dispatcher.limit is None else _LimitedReception
    if task_group is None:
        async with backend.create_task_group() as task_group:
            reception = new_reception(loop, dispatcher, task_group)
            try:
                await receive_all(reception.deliver)
            finally:
                reception.close()
    reception = new_reception(loop, dispatcher, task_group)
    try:
        await receive_all(reception.deliver)
    except Exception:
        reception.end()
        raise
    finally:
        reception.close()


class _InlineReception:
    """A driver that passes received datagrams to conversations. Each conversation has a carrier in *task_group*.

    One spare carrier waits for the next new sender. If the generator starts and ends within one callback, and the
    handler keeps no reference to the task, the carrier is spare again. Otherwise, the carrier ends with its
    conversation, and a new spare carrier starts.
    """

    __slots__ = ("_dispatcher", "_loop", "_spare", "_task_group", "carriers", "context", "has_ended")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, dispatcher: DatagramDispatcher[Any], task_group: TaskGroup
    ) -> None:
        self._loop = loop
        self._dispatcher = dispatcher
        self._task_group = task_group
        self._spare: _ConversationCarrier | None = None
        self.carriers: dict[Any, _ConversationCarrier] = {}
        """The carriers in use, by the address of the sender."""
        self.context = contextvars.copy_context()
        """Each generator runs in a copy of this context."""
        self.has_ended: bool = False
        """Whether no more datagrams will arrive. A generator that waits for one is closed."""
        dispatcher.reception = self
        self._start_spare()

    def count_conversations(self) -> int:
        return len(self.carriers)

    def end(self) -> None:
        """Close the generators that wait for a datagram, because no more datagrams will arrive."""
        self.has_ended = True
        for carrier in self.carriers.values():
            carrier.wake()

    def close(self) -> None:
        """End the spare carrier."""
        if self._spare is not None:
            self._spare.retire()

    @with_shortcut
    def deliver(self, received: Any, address: Any) -> None:
        """Run the handler of a datagram. If it cannot run now, queue the datagram.

        *received* is what `Conversation` calls so: a datagram, possibly with its ancillary data.
        """
        if (carrier := self.carriers.get(address)) is not None:
            if carrier._wakeup is not None:  # an inlined is_parked(), here and below
                if carrier.step(received) is IDLE:
                    carrier.retire()
            else:
                carrier.conversation.keep(received)
        elif (carrier := self._spare) is not None and carrier._wakeup is not None:
            if not carrier.lend(address, received):
                self._start_spare()
        else:
            carrier = _ConversationCarrier(self._loop, self, Conversation(self._dispatcher, address))
            if carrier.conversation.keep(received):
                self.carriers[address] = carrier
                self._start(carrier)
            if self._spare is None:
                self._start_spare()

    def _start_spare(self) -> None:
        self._spare = _ConversationCarrier(self._loop, self, Conversation(self._dispatcher, None))
        self._start(self._spare)

    def _start(self, carrier: _ConversationCarrier) -> None:
        try:
            self._task_group.start_soon(carrier.run)
        except BaseException:
            carrier.close()
            raise

    def is_spare(self, carrier: _ConversationCarrier) -> bool:
        return carrier is self._spare

    def forget(self, carrier: _ConversationCarrier) -> None:
        """Remove *carrier*, which is ending."""
        if self.carriers.get(carrier.conversation.address) is carrier:
            del self.carriers[carrier.conversation.address]
        if self._spare is carrier:
            self._spare = None


class _LimitedReception(_InlineReception):
    """A driver that ends conversations if there are too many."""

    __slots__ = ("_limit",)

    def __init__(
        self, loop: asyncio.AbstractEventLoop, dispatcher: DatagramDispatcher[Any], task_group: TaskGroup
    ) -> None:
        assert dispatcher.limit is not None
        self._limit = dispatcher.limit
        super().__init__(loop, dispatcher, task_group)

    def deliver(self, received: Any, address: Any) -> None:
        self._limit.heard(self.carriers, address)
        super().deliver(received, address)
        self._limit.keep(self.carriers)

    def forget(self, carrier: _ConversationCarrier) -> None:
        if self.carriers.get(carrier.conversation.address) is carrier:
            self._limit.forget(carrier)
        super().forget(carrier)


class _ConversationCarrier(Steppable):
    """The carrier of one conversation."""

    __slots__ = (
        "_coroutine",
        "_deadline",
        "_is_retired",
        "_reception",
        "_send",
        "context",
        "conversation",
        "is_over",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, reception: _InlineReception, conversation: Conversation
    ) -> None:
        super().__init__(loop)
        self._reception = reception
        self.conversation = conversation
        self._coroutine = conversation.run()
        self._coroutine.send(None)  # runs to the first IDLE
        self._send = self._coroutine.send
        self._deadline: float | None = None
        self._is_retired = False
        self.is_over = False
        self.context = reception.context

    # ----------------------------------------------------------------------------------------------- in the callbacks

    def lend(self, address: Any, received: Any) -> bool:
        """Begin a conversation in this spare carrier. Return true if it has ended and the carrier is spare again."""
        task = self._task
        references, weak_references = getrefcount(task), getweakrefcount(task)
        self.context = self._reception.context.copy()
        self.conversation.address = address
        if self.step(received) is not IDLE:
            self._reception.carriers[address] = self
            return False
        if getrefcount(task) == references and getweakrefcount(task) == weak_references:
            return True
        self.retire()  # the handler kept a reference to its task, so no other generator may run in that task
        return False

    def step(self, received: Any) -> object:
        """Resume the conversation with *received*, as if in the carrier. Return the yielded object."""
        self._deadline = None
        _enter_task(self._loop, self._task)
        try:
            yielded = self.context.run(self._send, received)
        except BaseException as exc:
            self.fail(exc)
            return None
        finally:
            _leave_task(self._loop, self._task)
        if yielded is not DATAGRAM and yielded is not IDLE:
            self.take(yielded)
        return yielded

    def fail(self, exc: BaseException) -> None:
        """End the task with *exc*, which ended the conversation in a callback."""
        self._failure = exc
        self.wake()  # not wake_now(): the task must end after this callback

    def take(self, yielded: Any) -> None:
        """Take what the conversation has *yielded* in a callback: neither `DATAGRAM` nor `IDLE`."""
        if isinstance(yielded, Wait):
            self._begin_wait(yielded)
        else:
            self._suspended = None if yielded is TURN else yielded
            self.wake_now()

    def _begin_wait(self, wait: Wait) -> None:
        assert wait.timeout is not None
        self._deadline = self._begin_timeout(wait.timeout)

    def end(self) -> None:
        """Close the generator if it waits for a datagram, or cancel what it awaits."""
        self.is_over = True
        if self.is_parked():
            self.wake()
        else:
            self._task.cancel()

    def retire(self) -> None:
        """End the task. Its conversation has ended, or never began."""
        self._is_retired = True
        self._reception.forget(self)
        self.wake()

    def close(self) -> None:
        """Close the conversation. Called at the end of `run`, or instead of it."""
        self._coroutine.close()
        self._reception.forget(self)
        self.conversation.clear()

    def _get_deadline(self) -> float | None:
        return self._deadline

    def _time_out(self) -> None:
        if self.is_parked() and self.step(None) is IDLE:
            self.retire()

    # ------------------------------------------------------------------------------------------------- in the carrier

    async def run(self) -> None:
        """Carry the conversation. The task runs this coroutine."""
        try:
            await self.carry()
        finally:
            self.close()

    def _start(self) -> Any:
        return PARKED if self._reception.is_spare(self) else self._settle(IDLE)

    def _look(self) -> Any:
        if self._is_retired:
            raise StopIteration
        return self._settle(DATAGRAM)

    def _resume(self, answer: Any) -> Any:
        return self._settle(self.context.run(self._send, answer))

    def _throw(self, exc: BaseException) -> Any:
        return self._settle(self.context.run(self._coroutine.throw, exc))

    def _settle(self, yielded: Any) -> Any:
        """Resume the conversation as long as datagrams are queued. Return what the task does next."""
        self._deadline = None
        while True:
            if yielded is IDLE:
                # A cancelled task starts no more generators.
                if self._task.cancelling() or (received := self.conversation.take()) is None:
                    raise StopIteration
                self.context = self._reception.context.copy()
            elif yielded is DATAGRAM or isinstance(yielded, Wait):
                if (received := self.conversation.take()) is None:
                    if not (self.is_over or self._reception.has_ended):
                        if yielded is not DATAGRAM:
                            self._begin_wait(yielded)
                        return PARKED
                    received = NO_MORE
            else:
                return None if yielded is TURN else yielded  # None: the task resumes in the next turn of the loop
            yielded = self.context.run(self._send, received)
