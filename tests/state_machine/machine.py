"""Runs programs: sequences of random steps with connections to servers. Checks each step against the model."""

from __future__ import annotations

__all__ = ["RULES", "Connection", "Machine", "Program", "Service", "Step"]

import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import Any, NamedTuple, TypeAlias

from tests.state_machine.ends import (
    Broken,
    Busy,
    ClientEnd,
    ClosedHere,
    End,
    Ended,
    HalfClosed,
    Handler,
    PeerEnd,
    ServedEnd,
    Unsupported,
)
from tests.state_machine.model import Direction, Expectation
from tests.support.background import Running, background_tasks, settle, spawn
from tests.support.certificates import the_certificates
from tests.support.lines import line_protocol
from tests.support.peers import Peer
from tests.support.tls_servers import TLSClient

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.socket import set_tcp_nodelay
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.draining import DrainReport

PATIENCE = 10.0
"""Seconds. What has to end has ended long before."""

CLIENT, SERVER = 0, 1

RULES = {
    "send": 10,
    "flood": 1,
    "receive": 12,
    "time_out": 3,
    "race": 4,
    "cancel_receiving": 3,
    "cancel_sending": 1,
    "half_close": 1,
    "close": 1,
    "abort": 1,
    "abort_by_handler": 1,
    "drain": 1,
    "switch": 3,
    "start_another_generator": 1,
}
"""The methods of `Connection`, and their weights."""


class Step(NamedTuple):
    """One step of a program.

    A step for a slot without a connection connects. One that is impossible in the state that it finds does nothing.
    """

    rule: str
    """The name of a method of `Connection`."""
    slot: int
    """Which connection."""
    side: int
    """Which end of it does something."""
    variant: int
    """How, from 0 to 3."""


Program: TypeAlias = list[Step]


class Connection:
    """One connection: its two ends, and what the model knows about both directions."""

    def __init__(
        self, backend: AsyncBackend, client: End, server: ServedEnd, service: Service, *, is_tls: bool
    ) -> None:
        self._backend = backend
        self._is_tls = is_tls
        self.service = service
        self.ends: tuple[End, End] = (client, server)
        self._server = server
        self._directions = (Direction(), Direction())  # the one that the client sends, the one that the server sends
        self._numbers = itertools.count()
        self._floods: set[int] = set()
        """The sides whose call that sends is a flood."""

    def _outgoing(self, side: int) -> Direction:
        return self._directions[side]

    def _incoming(self, side: int) -> Direction:
        return self._directions[1 - side]

    def _text(self, size: int) -> str:
        """Return a text unlike all others. If it is sent as it is, it has a newline inside."""
        number = str(next(self._numbers))
        return number * max(1, size // len(number))

    # --------------------------------------------------------------------------------------------------------- sending

    async def send(self, side: int, variant: int) -> None:
        end, outgoing = self.ends[side], self._outgoing(side)
        if end.sending is not None or (end.closed and not end.is_ours):
            return
        text = self._text((1, 10, 100, 5000)[variant % 4])
        if end.protocol == "raw" and variant % 2:
            text = f"{text}\n{text}"
        if end.closed or end.half_closed:
            if end.is_ours:
                await self._refused(end.send(text), ClosedHere if end.closed else HalfClosed)
            return
        outgoing.add(end.encode(text))
        end.sending = spawn(end.send(text))

    async def flood(self, side: int, variant: int) -> None:
        """Send so much that it has to wait until the other side receives."""
        end = self.ends[side]
        if end.sending is None and not (end.closed or end.half_closed) and end.is_ours:
            self._floods.add(side)
            end.sending = spawn(self._send_much(side, 10 + 10 * variant))

    async def _send_much(self, side: int, count: int) -> None:
        end, outgoing = self.ends[side], self._outgoing(side)
        for _ in range(count):
            text = self._text(20_000)
            if end.protocol == "raw":
                text = f"{text}\n{text}"
            outgoing.add(end.encode(text))
            await end.send(text)
            outgoing.confirm()

    async def cancel_sending(self, side: int, variant: int) -> None:
        """Cancel a call that sends. Any part of its packet may have been sent, so that only a close makes sense."""
        end = self.ends[side]
        if (sending := end.sending) is not None:
            sending.cancel()
            await self._must_end(sending, "a cancelled call that sends")
            self._check_sent(side)
            await (self.close if variant % 2 else self.abort)(side, variant)

    def _check_sent(self, side: int) -> None:
        """Check how a call that has sent has ended."""
        end, outgoing = self.ends[side], self._outgoing(side)
        if end.receiving is not None and end.receiving.done():
            self._check_received(side)  # which may tell that the server has closed this end
        sending, end.sending = end.sending, None
        assert sending is not None
        self._floods.discard(side)
        if sending.error is None:
            if not sending.cancelled():
                outgoing.confirm()
        elif isinstance(sending.error, ClosedHere):
            assert end.closed, "a call that sends says that this end is closed"
            outgoing.reset = True
        elif isinstance(sending.error, Broken):
            assert self._may_be_broken(side), "a call that sends says that the connection is broken"
            outgoing.reset = True
        else:
            raise sending.error
        if self.ends[1 - side].closed:
            # The answer to data for a closed socket is a reset, which may overtake what the other side has sent.
            self._incoming(side).reset = True

    def _may_be_broken(self, side: int) -> bool:
        return self.ends[1 - side].closed or self._incoming(side).ended or self._incoming(side).reset

    async def half_close(self, side: int, variant: int) -> None:
        end, outgoing = self.ends[side], self._outgoing(side)
        if end.sending is not None or (end.closed and not end.is_ours):
            return
        if end.closed:
            if side == SERVER and not end.half_closed:
                await self._refused(end.send_eof(), ClosedHere)
            else:
                await self._in_time(end.send_eof(), "send_eof() of a closed client")
        elif self._is_tls:
            if end.is_ours:
                await self._refused(end.send_eof(), Unsupported)
        else:
            try:
                await self._in_time(end.send_eof(), "send_eof()")
            except Broken:
                assert self._may_be_broken(side)
                outgoing.reset = True
            end.half_closed = outgoing.ended = True

    # ------------------------------------------------------------------------------------------------------- receiving

    async def receive(self, side: int, variant: int) -> None:
        self._start_receiving(side, None, variant)

    def _start_receiving(self, side: int, timeout: float | None, variant: int) -> bool:
        end = self.ends[side]
        if end.receiving is not None or (isinstance(end, ServedEnd) and end.has_left):
            return False
        if not end.is_ours and (end.closed or timeout is not None):
            return False
        end.receiving = end.start_receiving(timeout, bool(variant % 2))
        return True

    async def time_out(self, side: int, variant: int) -> None:
        """Receive, but not for long. What does not arrive in time arrives later."""
        if self._start_receiving(side, 0.001, variant):
            receiving = self.ends[side].receiving
            assert receiving is not None
            await self._must_end(receiving, "a call that receives, with a timeout")
            if isinstance(receiving.error, TimeoutError):
                self.ends[side].receiving = None
            else:
                self._check_received(side)

    async def race(self, side: int, variant: int) -> None:
        """Cancel a call that receives about when a packet arrives. The packet is not lost."""
        end = self.ends[side]
        if end.receiving is None and not self._start_receiving(side, None, variant):
            return
        await self.send(1 - side, variant)
        for _ in range(variant):
            await self._backend.coro_yield()
        await self.cancel_receiving(side, variant)

    async def cancel_receiving(self, side: int, variant: int) -> None:
        if (receiving := self.ends[side].receiving) is not None:
            receiving.cancel()
            await self._must_end(receiving, "a cancelled call that receives")
            self._check_received(side)

    def _expectation(self, side: int) -> Expectation:
        end = self.ends[side]
        if end.closed:
            return Expectation(packet=False, end=True, wait=False)
        return self._incoming(side).expectation(end.protocol)

    def _check_received(self, side: int) -> None:
        """Check how a call that receives has ended."""
        server = self._server
        if side == CLIENT and server.receiving is not None and server.receiving.done():
            self._check_received(SERVER)  # which may tell that the server has closed
        end, incoming = self.ends[side], self._incoming(side)
        receiving, end.receiving = end.receiving, None
        assert receiving is not None
        error = receiving.error
        if receiving.cancelled():
            return
        if error is None:
            incoming.take(receiving._result, end.protocol)
        elif isinstance(error, ClosedHere):
            assert end.closed, "a call that receives says that this end is closed"
        elif isinstance(error, Ended):
            if not end.closed:
                assert self._expectation(side).end, f"the stream ends {incoming.outstanding} bytes too early"
                may_be_torn = not self.ends[1 - side].is_ours
                incoming.check_end(error.is_incomplete, error.is_ordinary, may_be_torn=may_be_torn)
            # What was an incomplete packet need not become one by another protocol.
            incoming.ended = incoming.reset = True
            if side == SERVER and error.is_incomplete is None:  # at a yield: the handler leaves, the server closes
                self._server.has_left = True
                self._note_close(SERVER)
        else:
            raise error

    async def switch(self, side: int, variant: int) -> None:
        end = self.ends[side]
        if not end.is_ours or end.sending is not None:
            return
        if end.receiving is not None and end.receiving.done():
            self._check_received(side)
        try:
            end.set_protocol("raw" if end.protocol == "lines" else "lines")
        except Busy:
            assert end.receiving is not None
        except ClosedHere:
            assert end.closed
        else:
            assert end.receiving is None
            assert not end.closed

    async def start_another_generator(self, side: int, variant: int) -> None:
        server = self._server
        if server.has_yielded and not server.has_left and server.receiving is None and not server.closed:
            server.start_another_generator()

    # --------------------------------------------------------------------------------------------------------- closing

    async def close(self, side: int, variant: int) -> None:
        end = self.ends[side]
        if end.closed or end.sending is not None:
            return
        if not end.is_ours and (self._is_tls or self._incoming(side).outstanding):
            self._outgoing(side).reset = True  # the system resets the connection if there is unread input
        end.closing = spawn(end.aclose())
        self._note_close(side)

    async def abort(self, side: int, variant: int) -> None:
        """Close abruptly, with a reset where the peer is a plain socket."""
        end = self.ends[side]
        if end.closed:
            return
        self._outgoing(side).reset = True
        self._note_close(side)
        end.aborted = True
        end.closing = spawn(end.abort())
        if not end.is_ours:
            for call in (end.receiving, end.sending):
                if call is not None:
                    call.cancel()

    async def abort_by_handler(self, side: int, variant: int) -> None:
        """Let the handler abort the connection. It may do so in any state, also while a close waits for the peer."""
        end, outgoing = self._server, self._outgoing(SERVER)
        outgoing.reset = True
        if not end.closed:
            outgoing.must_break = not end.half_closed
            self._note_close(SERVER)
        end.aborted = True
        end.client.abort()
        if end.closing is not None:
            await self._must_end(end.closing, "a close of an aborted connection")

    def _note_close(self, side: int) -> None:
        end, outgoing = self.ends[side], self._outgoing(side)
        end.closed = outgoing.ended = True
        if end.sending is not None:
            outgoing.reset = True

    # -------------------------------------------------------------------------------------------------------- draining

    async def drain(self, side: int, variant: int) -> None:
        """Drain the server: without a deadline, right after a packet, with a second call that cuts, or cut at once."""
        if variant != 3:
            await self.service.drain(self if variant == 1 else None)
        if variant >= 2:
            await self.service.cut()

    async def send_at_once(self) -> None:
        """Send a packet from the client, if that does not take long."""
        end, outgoing = self.ends[CLIENT], self._outgoing(CLIENT)
        if end.closed or end.half_closed or end.sending is not None or outgoing.outstanding:
            return
        text = self._text(10)
        outgoing.add(end.encode(text))
        try:
            await end.send(text)
        except Broken:
            assert self._may_be_broken(CLIENT)
            outgoing.reset = True
        else:
            outgoing.confirm()
        if self._server.closed:
            self._incoming(CLIENT).reset = True

    def has_handler(self) -> bool:
        """Return whether the server still counts this connection."""
        return not self._server.is_over

    def note_draining(self) -> set[str]:
        """Note that the server begins to drain. Return what it may report about this connection, if it is not cut."""
        receiving, incoming = self._server.receiving, self._incoming(SERVER)
        incoming.note_draining()
        if receiving is None or receiving.done():
            return {"finished"}
        if not incoming.outstanding:
            return {"idle"}
        is_certain = incoming.promised == len(incoming.sent) and not incoming.reset
        return {"finished"} if is_certain else {"idle", "finished"}

    def note_cut(self) -> None:
        """Note that the server cuts this connection, or a close of it that still waits."""
        end = self._server
        self._outgoing(SERVER).reset = True
        self._note_close(SERVER)
        end.aborted = end.has_left = True

    def has_to_stay(self) -> bool:
        """Return whether the handler goes on while the server drains."""
        return self._server.receiving is None or self._server.receiving.done()

    # -------------------------------------------------------------------------------------------------------- checking

    async def check(self) -> None:
        """Check all calls that are going on: those that must have ended, and those that must wait."""
        await settle()
        for side in (CLIENT, SERVER):
            await self._check_sending(side)
        for side in (CLIENT, SERVER):
            await self._check_receiving(side)
        for end in self.ends:
            if not end.closed:
                assert not end.is_closing(), "an end is closed, but nothing has closed it"

    async def _check_sending(self, side: int) -> None:
        end, outgoing = self.ends[side], self._outgoing(side)
        if (sending := end.sending) is None:
            return
        is_flood = side in self._floods  # and may have much more to send
        if (outgoing.outstanding < 10_000 and not is_flood) or end.aborted:
            await self._must_end(sending, "a call that sends")
        if sending.done():
            self._check_sent(side)

    async def _check_receiving(self, side: int) -> None:
        end = self.ends[side]
        if (receiving := end.receiving) is None:
            return
        if not end.is_ours and end.closed:
            receiving.cancel()
        if not self._expectation(side).wait:
            await self._must_end(receiving, f"a call that receives ({self._expectation(side)})")
        if receiving.done():
            self._check_received(side)

    async def _must_end(self, call: Running[Any], what: str) -> None:
        with self._backend.move_on_after(PATIENCE):
            await call.wait()
        assert call.done(), f"{what} does not end"

    async def _in_time(self, call: Awaitable[Any], what: str) -> None:
        with self._backend.move_on_after(PATIENCE) as scope:
            await call
        assert not scope.cancelled_caught(), f"{what} does not end"

    async def _refused(self, call: Awaitable[Any], error: type[Exception]) -> None:
        try:
            await self._in_time(call, "a call that must be refused")
        except error:
            return
        raise AssertionError(f"expected {error.__name__}")

    def is_over(self) -> bool:
        return all(end.closed for end in self.ends)

    async def finish(self) -> None:
        """Cancel all calls, close both ends, and wait until the handler is gone."""
        for side in (CLIENT, SERVER):
            await self.cancel_receiving(side, 0)
            if (sending := self.ends[side].sending) is not None:
                sending.cancel()
                await self._must_end(sending, "a cancelled call that sends")
                self.ends[side].sending = None
        for side, end in enumerate(self.ends):
            await self.close(side, 0)
            if end.closing is None:
                end.closing = spawn(end.aclose())
        for end in self.ends:
            assert end.closing is not None
            await self._must_end(end.closing, "a close")
            await end.closing.result()
            assert end.is_closing()
        self._server.start_another_generator()
        for _ in range(1000):
            if self._server.is_over:
                return
            await self._backend.sleep(0.001)
        raise AssertionError("on_disconnection() was not called")

    async def abandon(self) -> None:
        """End the connection, whatever its state."""
        for end in self.ends:
            with contextlib.suppress(OSError), self._backend.move_on_after(1):
                await end.abort()


class Service:
    """A server, and its connections."""

    def __init__(self, backend: AsyncBackend, server: AsyncTCPNetworkServer[Any, Any]) -> None:
        self._backend = backend
        self._server = server
        self._is_up = backend.create_event()
        self._task = spawn(server.serve_forever(is_up_event=self._is_up))
        self._drains: list[Running[DrainReport]] = []
        self._outcomes: dict[Connection, set[str]] = {}
        """What may become of each connection that the server counts while it drains."""
        self.connections: list[Connection] = []

    async def address(self) -> tuple[str, int]:
        await self._is_up.wait()
        [address] = self._server.get_addresses()
        return address.host, address.port

    def is_draining(self) -> bool:
        return bool(self._drains)

    async def drain(self, sender: Connection | None) -> None:
        """Drain without a deadline, right after *sender* has sent something."""
        if self._task.done():
            await self._check_stopped()
            return
        self._drains.append(spawn(self._drain(sender)))
        with self._backend.timeout(PATIENCE):
            while not self._server.is_draining():
                await self._backend.sleep(0.0001)
        await self._check()

    async def _drain(self, sender: Connection | None) -> DrainReport:
        if sender is not None:
            await sender.send_at_once()
        self._note_draining()
        return await self._server.drain()

    def _note_draining(self) -> None:
        if not self._server.is_draining():
            for connection in self.connections:
                if connection.has_handler():
                    self._outcomes[connection] = connection.note_draining()

    async def cut(self) -> None:
        """Drain with a deadline that has passed."""
        if self._task.done():
            await self._check_stopped()
            return
        self._drains.append(spawn(self._cut()))
        await self._end()
        await self._check()
        for connection in self.connections:
            assert not connection.has_handler(), "a handler has not ended"

    async def _check_stopped(self) -> None:
        assert await self._server.drain(0) == DrainReport(0, 0, 0)

    async def _cut(self) -> DrainReport:
        was_draining = self._server.is_draining()
        self._note_draining()
        for connection in self.connections:
            if connection.has_handler():
                if was_draining or connection.has_to_stay():
                    self._outcomes[connection] = {"cut"}
                else:  # the server tells the handler to finish first, and it may be quick
                    self._outcomes[connection].add("cut")
            connection.note_cut()
        return await self._server.drain(0)

    async def _check(self) -> None:
        for connection in self.connections:
            await connection.check()

    async def remove(self, connection: Connection) -> None:
        """Note that *connection* is over."""
        self.connections.remove(connection)
        if self._drains and not self.connections:
            await self._end()

    async def _end(self) -> None:
        """Check that the server ends, and what it reports."""
        calls: list[Running[Any]] = [*self._drains, self._task]
        for call in calls:
            with self._backend.move_on_after(PATIENCE):
                await call.wait()
            assert call.done(), "a server that drains does not end"
        assert self._task.error is None
        assert not self._server.is_listening()
        possible = [Counter(outcomes) for outcomes in itertools.product(*self._outcomes.values())]
        for drain in self._drains:
            report = await drain.result()
            if drain is not self._drains[0] and not any(report):
                continue  # the server had stopped before the call
            assert +Counter(report._asdict()) in possible, f"{report} is not one of {possible}"

    async def stop(self) -> None:
        """Stop the server, whatever its state."""
        with self._backend.move_on_after(PATIENCE):
            await self._server.shutdown()
            await self._server.server_close()
            await self._task.wait()


class Machine:
    """Servers, one after the other, and the connections to them."""

    SLOTS = 3
    """The number of connections at the same time."""

    def __init__(self, backend: AsyncBackend, *, is_tls: bool):
        self._backend = backend
        self._handler = Handler()
        self._is_tls = is_tls
        self._services: list[Service] = []
        self._connections: dict[int, Connection] = {}
        self.trace: Program = []
        """The steps so far."""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, backend: AsyncBackend, *, is_tls: bool) -> AsyncIterator[Machine]:
        async with background_tasks(backend):
            machine = cls(backend, is_tls=is_tls)
            try:
                yield machine
            finally:
                for service in machine._services:
                    await service.stop()

    async def run(self, program: Program) -> None:
        """Run *program*, then close all."""
        try:
            for step in program:
                await self._run(step)
            for slot in list(self._connections):
                await self._finish(slot)
        except Exception:
            for connection in self._connections.values():  # so that the failure is reported, and not what it leaves
                await connection.abandon()
            raise

    async def _run(self, step: Step) -> None:
        self.trace.append(step)
        connection = self._connections.get(step.slot)
        if connection is None:
            self._connections[step.slot] = await self.connect(step.variant)
            return
        await getattr(connection, step.rule)(step.side, step.variant)
        await connection.check()
        for slot, other in list(self._connections.items()):
            if other.is_over():
                await self._finish(slot)

    async def _finish(self, slot: int) -> None:
        connection = self._connections[slot]
        await connection.finish()
        del self._connections[slot]
        await connection.service.remove(connection)

    def _service(self) -> Service:
        """Return the server that takes new connections: another one if the last is draining."""
        if not self._services or self._services[-1].is_draining():
            tls: dict[str, Any] = {}
            if self._is_tls:
                tls = {"ssl": the_certificates().server_context(), "ssl_shutdown_timeout": PATIENCE / 2}
            server: AsyncTCPNetworkServer[Any, Any] = AsyncTCPNetworkServer(
                "127.0.0.1", 0, line_protocol(), self._handler, self._backend, **tls
            )
            self._services.append(Service(self._backend, server))
        return self._services[-1]

    async def connect(self, variant: int) -> Connection:
        """Connect a client of the library, or a plain one."""
        service = self._service()
        address = await service.address()
        count = self._handler.connected
        client: End
        if variant % 3:
            tls: dict[str, Any] = {}
            if self._is_tls:
                context = the_certificates().client_context()
                tls = {"ssl": context, "server_hostname": "localhost", "ssl_shutdown_timeout": PATIENCE / 2}
            library_client: AsyncTCPNetworkClient[Any, Any] = AsyncTCPNetworkClient(
                address, line_protocol(), self._backend, **tls
            )
            await library_client.wait_connected()
            client = ClientEnd(library_client)
        else:
            peer = Peer(socket.socket())
            await peer.connect(address)
            set_tcp_nodelay(peer.sock, True)  # what is sent must have arrived when the server drains
            if self._is_tls:
                peer = secure = TLSClient(peer.sock, the_certificates().client_context())
                await secure.below.handshake()
            client = PeerEnd(peer)
        with self._backend.timeout(PATIENCE):
            while self._handler.connected == count:
                await self._backend.sleep(0.0001)
        [server] = [end for end in self._handler.ends.values() if not end.is_taken]
        server.is_taken = True
        connection = Connection(self._backend, client, server, service, is_tls=self._is_tls)
        service.connections.append(connection)
        return connection
