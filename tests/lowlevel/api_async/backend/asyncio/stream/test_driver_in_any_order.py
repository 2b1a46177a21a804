"""The inline driver against a model of a few lines, whatever happens to a connection in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lowlevel.api_async.backend.asyncio.stream.inline_connection import KINDS, Connection, Requests
from tests.support.manual_loop import ManualLoop, manual_loop

from easynetwork.lowlevel._core.stream_dispatch import DISCONNECTED, RETURNED, Ending

CHUNK = st.lists(
    st.sampled_from(["x", "suspend\n", "pass\n", "return\n", "fail\n", "suspend", "\n", "\n" * 100]), max_size=8
)
CHUNKS = st.tuples(st.sampled_from(["chunk", "chunk", "chunk within a task"]), CHUNK)
FLOW = st.tuples(st.sampled_from(["the peer reads", "the peer does not read"]), st.none())
OTHERS = st.one_of(
    st.tuples(st.just("turns"), st.integers(1, 3)),
    st.tuples(st.just("time"), st.sampled_from([0.25, 0.5, 1, 5])),
    st.tuples(st.just("resume"), st.none()),
)
EVENTS = st.lists(CHUNKS | OTHERS | FLOW, max_size=20)
EVENTS_AFTER = {
    "end": st.lists(OTHERS | FLOW, max_size=5),
    "loss": st.lists(OTHERS, max_size=5),
    "loss with an error": st.lists(OTHERS, max_size=5),
    "cancellation": st.lists(CHUNKS | OTHERS | FLOW, max_size=5),
}


class World:
    """One connection, what happens to it, and what has to come of that."""

    def __init__(self, loop: ManualLoop, kind: str, timeout: float | None, starts: bool) -> None:
        self.loop = loop
        self.timeout = timeout
        self.gate = asyncio.Event()
        self.sent = ""
        """What the peer has sent. Some of it may wait in its socket."""
        self.unread = ""
        self.passed = 0.0
        self.timeouts = 0
        self.errors: list[Exception] = []
        self.answers: list[str] = []
        self.connection = Connection(loop, kind, self.handle, starts=False)
        if starts:
            self.start()
        self.events: dict[str, Callable[[Any], None]] = {
            "chunk": self.send,
            "chunk within a task": self.send_within_a_task,
            "turns": self.turn,
            "time": self.pass_time,
            "resume": lambda _: self.gate.set(),
            "the peer reads": lambda _: self.connection.transport.resume(),
            "the peer does not read": lambda _: self.connection.transport.pause(),
        }

    def start(self) -> None:
        self.connection.carrier = self.loop.create_task(self.serve())
        self.loop.turn()

    async def serve(self) -> Ending:
        """Run one handler after the other until the stream ends."""
        while True:
            try:
                ending = await self.connection.run()
            except LookupError:
                continue
            if ending is not RETURNED:
                return ending

    async def handle(self, connection: Connection) -> Requests:
        while True:
            try:
                request = yield self.timeout
            except TimeoutError:
                self.timeouts += 1
                continue
            except ConnectionResetError as exc:
                self.errors.append(exc)
                continue
            connection.handled.append(request)
            if "suspend" in request:
                self.gate.clear()
                await self.gate.wait()
            elif "pass" in request:
                await asyncio.sleep(0)
            if connection.stream.writable:
                self.answers.append(request)
                connection.answer(request)
            if "return" in request:
                return
            if "fail" in request:
                raise LookupError

    def send(self, pieces: list[str]) -> None:
        self.sent += "".join(pieces)
        self.unread += "".join(pieces)
        self.read()

    def read(self) -> None:
        if self.connection.transport.reads:
            data, self.unread = self.unread, ""
            self.connection.transport.receive(data.encode())

    def send_within_a_task(self, pieces: list[str]) -> None:
        async def deliver() -> None:
            self.send(pieces)

        self.loop.create_task(deliver()).add_done_callback(lambda task: task.result())

    def turn(self, count: int) -> None:
        for _ in range(count):
            self.loop.turn()
            self.read()

    def pass_time(self, seconds: float) -> None:
        self.loop.now += seconds
        self.passed += seconds

    def settle(self) -> None:
        """Let the handler go on until it waits for more, or has ended."""
        for _ in range(1000):
            self.gate.set()
            self.loop.settle()
            self.read()
            if not self.unread and (self.connection.carrier.done() or self.connection.driver.is_waiting()):
                return
        raise AssertionError("The connection never comes to rest")


@settings(deadline=None, derandomize=True, max_examples=400, database=None)
@given(
    kind=st.sampled_from(KINDS),
    timeout=st.sampled_from([None, 1.0]),
    starts=st.booleans(),
    events=EVENTS,
    rest=st.sampled_from([*EVENTS_AFTER]).flatmap(lambda ending: st.tuples(st.just(ending), EVENTS_AFTER[ending])),
)
def test_all_requests_before_the_end_are_handled_once_and_answered_in_order(
    kind: str,
    timeout: float | None,
    starts: bool,
    events: list[tuple[str, Any]],
    rest: tuple[str, list[tuple[str, Any]]],
) -> None:
    ending, events_after_it = rest
    with manual_loop() as loop:
        world = World(loop, kind, timeout, starts)
        connection = world.connection
        for name, argument in events:
            world.events[name](argument)
        loop.turn()  # tasks of the test deliver before the end
        if not starts:
            world.start()
        if ending == "cancellation":
            connection.carrier.cancel()
        else:
            if world.unread:
                world.settle()
            if ending == "end":
                connection.transport.end()
            else:
                connection.transport.lose(ConnectionResetError() if ending == "loss with an error" else None)
        for name, argument in events_after_it:
            world.events[name](argument)
        world.settle()

        requests = world.sent.split("\n")[:-1]
        if ending == "cancellation":
            assert connection.carrier.cancelled()
            assert connection.handled == requests[: len(connection.handled)]
        else:
            assert connection.carrier.result() is DISCONNECTED
            assert connection.handled == requests
        assert len(world.errors) == (ending == "loss with an error")
        assert world.timeouts <= (world.passed if timeout else 0)
        written = b"".join(connection.transport.written).decode()
        answers = "".join(f"{answer}\n" for answer in world.answers)
        assert answers.startswith(written) if "loss" in ending else written == answers
        assert connection.stream.parts == []
