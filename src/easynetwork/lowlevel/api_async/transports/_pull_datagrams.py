"""The driver for any datagram listener. The listener runs a task for each datagram."""

from __future__ import annotations

__all__ = ["run_conversations"]

import contextvars
import types
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, NoReturn

from easynetwork.lowlevel._backend_hooks import is_cancelled
from easynetwork.lowlevel._core.datagram_dispatch import Conversation, DatagramDispatcher
from easynetwork.lowlevel._core.requirements import DATAGRAM, IDLE, TURN

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, IEvent, TaskGroup

    from .abc import AsyncDatagramListener


async def run_conversations(
    listener: AsyncDatagramListener[Any], dispatcher: DatagramDispatcher[Any], task_group: TaskGroup | None
) -> NoReturn:
    """Pass the datagrams that *listener* receives to conversations. See `._hooks.run_conversations`."""
    conversations: dict[Any, _PulledConversation] = {}
    context = contextvars.copy_context()
    backend = listener.backend()

    async def handle(datagram: bytes, ancillary_data: Any | None, address: Any) -> None:
        conversation = conversations.get(address)
        if conversation is not None:
            conversation.arrived(datagram, ancillary_data)
            return
        conversation = conversations[address] = _PulledConversation(backend, context, dispatcher, address)
        conversation.ancillary_data = ancillary_data
        try:
            await conversation.converse(datagram)
        finally:
            del conversations[address]
            conversation.clear()

    def handle_plain(datagram: bytes, address: Any) -> Coroutine[Any, Any, None]:
        return handle(datagram, None, address)

    try:
        if dispatcher.ancillary_bufsize is None:
            await listener.serve(handle_plain, task_group)
        else:
            await listener.serve_with_ancillary(handle, dispatcher.ancillary_bufsize, task_group)
    except Exception:
        dispatcher.ended = True
        for conversation in conversations.values():
            conversation.wake()
        raise


class _PulledConversation(Conversation):
    """A conversation in the task of its first datagram. Later datagrams arrive in other tasks."""

    __slots__ = ("_arrival", "_backend", "_context")

    always_waits = True  # the wait is where a cancellation is raised

    def __init__(
        self, backend: AsyncBackend, context: contextvars.Context, dispatcher: DatagramDispatcher[Any], address: Any
    ) -> None:
        super().__init__(dispatcher, address)
        self._backend = backend
        self._context = context
        self._arrival: IEvent | None = None  # set while the handler waits

    def arrived(self, datagram: bytes, ancillary_data: Any) -> None:
        if self.keep(datagram, ancillary_data):
            self.wake()

    def wake(self) -> None:
        """Resume the handler if it waits, so that it checks for datagrams and for the end."""
        if self._arrival is not None:
            self._arrival.set()

    @types.coroutine
    def converse(self, datagram: bytes | None) -> Generator[Any, Any, None]:
        """Run one generator after the other, each in its own context, as long as datagrams are queued.

        A cancelled task starts no more generators.
        """
        coroutine = self.run()
        coroutine.send(None)
        while datagram is not None:
            context = self._context.copy()
            yielded = context.run(coroutine.send, datagram)
            while yielded is not IDLE:
                sent: Any = None
                try:
                    if yielded is DATAGRAM:
                        sent = yield from self._wait().__await__()
                    elif yielded is TURN:
                        yield from self._backend.coro_yield().__await__()
                    else:
                        sent = yield yielded
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as exc:
                    yielded = context.run(coroutine.throw, exc)
                else:
                    yielded = context.run(coroutine.send, sent)
            datagram = None if is_cancelled(self._backend) else self.take()

    async def _wait(self) -> bytes | None:
        if self.has_kept():
            if is_cancelled(self._backend):
                await self._backend.coro_yield()  # raises the cancellation
            return self.take()
        self._arrival = self._backend.create_event()
        try:
            if self.timeout is None:
                await self._arrival.wait()
            else:
                with self._backend.timeout(self.timeout):
                    await self._arrival.wait()
        finally:
            self._arrival = None
        return self.take()
