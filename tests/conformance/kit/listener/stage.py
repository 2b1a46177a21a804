"""What a check of a listener gets to work with."""

from __future__ import annotations

__all__ = ["LISTENER_CHECKS", "Handler", "ListenerStage", "listener_stage", "owned"]

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias

from tests.conformance.kit.checks import Checks
from tests.conformance.kit.harness import ListenerHarness
from tests.conformance.kit.peers import PeerDriver
from tests.conformance.kit.stage import Stage

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, Task, TaskGroup
from easynetwork.lowlevel.api_async.transports.abc import AsyncListener, AsyncStreamTransport
from easynetwork.lowlevel.api_async.transports.utils import aclose_forcefully

Handler: TypeAlias = Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]]


class ListenerStage(Stage):
    """A listener, for the length of one check."""

    def __init__(self, backend: AsyncBackend, harness: ListenerHarness, cleanup: contextlib.ExitStack) -> None:
        super().__init__(backend, str(harness), cleanup)
        self.harness = harness
        self._listener: AsyncListener[AsyncStreamTransport] | None = None
        self._peers: list[PeerDriver] = []

    async def open(self) -> None:
        self._listener, self._connect = await self.harness.listen(self.backend, self.cleanup)

    @property
    def listener(self) -> AsyncListener[AsyncStreamTransport]:
        assert self._listener is not None, "the listener was dropped"
        return self._listener

    def drop_listener(self) -> None:
        """Forgets the listener without closing it."""
        self._listener = None

    def connect(self) -> PeerDriver:
        """Returns a new peer. Nobody has accepted it yet."""
        peer = PeerDriver(self.backend, self._connect())
        self._peers.append(peer)
        return peer

    @contextlib.asynccontextmanager
    async def serving(self, handler: Handler, *, private: bool = True) -> AsyncIterator[Task[None]]:
        """Serves in a task. In the end, it is cancelled together with all handlers.

        Parameters:
            handler: of the connections.
            private: whether they live in a group that the listener makes itself.
        """
        with self.backend.open_cancel_scope() as scope:
            async with self.backend.create_task_group() as group:
                task = await group.start(self._serve, handler, None if private else group)
                await self.settle()
                yield task
                scope.cancel()

    async def _serve(self, handler: Handler, group: TaskGroup | None) -> None:
        await self.listener.serve(handler, group)

    async def greet(self, transport: AsyncStreamTransport) -> None:
        """A handler that is done soon."""
        async with owned(transport):
            await transport.send_all(b"hello")

    async def echo(self, transport: AsyncStreamTransport) -> None:
        """A handler that lasts as long as its connection, however that ends."""
        with contextlib.suppress(OSError):
            async with owned(transport):
                while data := await transport.recv(1000):
                    await transport.send_all(data)

    async def assert_works(self) -> None:
        """Asks the `echo` handler that is serving."""
        peer = self.connect()
        data = self.rng.randbytes(10)
        await peer.send(data)
        assert await peer.receive(10) == data
        peer.peer.send_eof()
        assert await peer.receive_to_end() == b""

    async def close(self) -> None:
        for peer in self._peers:
            peer.peer.close()
        if self._listener is not None:
            await aclose_forcefully(self._listener)


@contextlib.asynccontextmanager
async def owned(transport: AsyncStreamTransport) -> AsyncIterator[None]:
    """Closes *transport* in the end; abruptly if the block does not end well, since the peer may not be listening."""
    try:
        yield
    except BaseException:
        await aclose_forcefully(transport)
        raise
    await transport.aclose()


@contextlib.asynccontextmanager
async def listener_stage(harness: ListenerHarness, backend: AsyncBackend) -> AsyncIterator[ListenerStage]:
    """Opens what *harness* describes, and closes it and all peers in the end."""
    with contextlib.ExitStack() as cleanup:
        stage = ListenerStage(backend, harness, cleanup)
        await stage.open()
        try:
            yield stage
        finally:
            await stage.close()


LISTENER_CHECKS: Checks[ListenerStage] = Checks()
"""What listeners promise."""
