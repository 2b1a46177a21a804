"""The driver for any datagram listener. The listener runs a task for each datagram."""

from __future__ import annotations

__all__ = ["run_conversations"]

import contextvars
import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final, NoReturn

from easynetwork.lowlevel._backend_hooks import is_cancelled
from easynetwork.lowlevel._core.datagram_dispatch import Conversation, DatagramDispatcher
from easynetwork.lowlevel._core.requirements import DATAGRAM, IDLE, NO_MORE, TURN, Wait

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, CancelScope, IEvent, TaskGroup

    from .abc import AsyncDatagramListener


async def run_conversations(
    listener: AsyncDatagramListener[Any], dispatcher: DatagramDispatcher[Any], task_group: TaskGroup | None
) -> NoReturn:
    """Pass the datagrams that *listener* receives to conversations. See `._hooks.run_conversations`."""
    backend, limit = listener.backend(), dispatcher.limit
    conversations = _Conversations(backend)
    dispatcher.reception = conversations

    async def handle(received: Any, address: Any) -> None:
        conversation = conversations.get(address)
        if conversation is not None:
            if limit is not None:
                limit.heard(conversations, address)
            conversation.arrived(received)
            return
        conversation = conversations[address] = _PulledConversation(conversations, dispatcher, address)
        try:
            if limit is None:
                await conversation.converse(received)
            else:
                limit.keep(conversations)
                with backend.open_cancel_scope() as conversation.scope:
                    await conversation.converse(received)
        finally:
            del conversations[address]
            conversation.clear()
            if limit is not None:
                limit.forget(conversation)

    def handle_with_ancillary(datagram: bytes, ancillary_data: Any, address: Any) -> Coroutine[Any, Any, None]:
        return handle((datagram, ancillary_data), address)

    try:
        if dispatcher.ancillary_bufsize is None:
            await listener.serve(handle, task_group)
        else:
            await listener.serve_with_ancillary(handle_with_ancillary, dispatcher.ancillary_bufsize, task_group)
    except Exception:
        conversations.end()
        raise


class _Conversations(dict[Any, "_PulledConversation"]):
    """The conversations of a listener, by the address of the sender."""

    def __init__(self, backend: AsyncBackend) -> None:
        self.backend: Final = backend
        self.context: Final = contextvars.copy_context()
        """Each generator runs in a copy of this context."""
        self.have_ended: bool = False
        """Whether no more datagrams will arrive. A generator that waits for one is closed."""

    def count_conversations(self) -> int:
        return len(self)

    def end(self) -> None:
        """Close the generators that wait for a datagram."""
        self.have_ended = True
        for conversation in self.values():
            conversation.wake()


class _PulledConversation(Conversation):
    """A conversation in the task of its first datagram. Later datagrams arrive in other tasks."""

    __slots__ = ("_arrival", "_conversations", "is_over", "scope")

    def __init__(self, conversations: _Conversations, dispatcher: DatagramDispatcher[Any], address: Any) -> None:
        super().__init__(dispatcher, address)
        self._conversations = conversations
        self._arrival: IEvent | None = None  # set while the handler waits
        self.is_over = False
        self.scope: CancelScope | None = None  # set if the number of conversations is limited

    def arrived(self, received: Any) -> None:
        if self.keep(received):
            self.wake()

    def wake(self) -> None:
        """Resume the handler if it waits, so that it checks for datagrams and for the end."""
        if self._arrival is not None:
            self._arrival.set()

    def end(self) -> None:
        """Close the generator if it waits for a datagram, or cancel what it awaits."""
        self.is_over = True
        if self._arrival is not None:
            self._arrival.set()
        elif self.scope is not None:
            self.scope.cancel()

    @types.coroutine
    def converse(self, received: Any) -> Generator[Any, Any, None]:
        """Run one generator after the other, each in its own context, as long as datagrams are queued.

        A cancelled task starts no more generators.
        """
        backend = self._conversations.backend
        coroutine = self.run()
        coroutine.send(None)
        while received is not None:
            context = self._conversations.context.copy()
            yielded = context.run(coroutine.send, received)
            while yielded is not IDLE:
                answer: Any = None
                try:
                    if yielded is DATAGRAM:
                        answer = yield from self._receive(None).__await__()
                    elif isinstance(yielded, Wait):
                        answer = yield from self._receive(yielded.timeout).__await__()
                    elif yielded is TURN:
                        yield from backend.coro_yield().__await__()
                    else:
                        answer = yield yielded
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as exc:
                    yielded = context.run(coroutine.throw, exc)
                else:
                    yielded = context.run(coroutine.send, answer)
            received = None if is_cancelled(backend) else self.take()

    async def _receive(self, timeout: float | None) -> Any:
        """Return the next datagram, None after *timeout* seconds, or `NO_MORE`."""
        backend = self._conversations.backend
        if self.has_kept():
            if is_cancelled(backend):
                await backend.coro_yield()  # raises the cancellation
        elif not (self.is_over or self._conversations.have_ended):
            self._arrival = backend.create_event()
            try:
                if timeout is None:
                    await self._arrival.wait()
                else:
                    with backend.move_on_after(timeout):
                        await self._arrival.wait()
            finally:
                self._arrival = None
        received = self.take()
        is_over = self.is_over or self._conversations.have_ended
        return NO_MORE if received is None and is_over else received
