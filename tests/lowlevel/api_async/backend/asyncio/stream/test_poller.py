"""Watching many sockets by one descriptor of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import select
import socket
import weakref
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from tests.support.descriptors import all_closed, open_descriptors
from tests.support.peers import PATIENCE

from easynetwork.lowlevel.api_async.backend._asyncio.stream.poller import Poller, poller_of
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="elsewhere, the event loop does it")


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    async with all_closed():
        yield poller_of(asyncio.get_running_loop())


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    with contextlib.ExitStack() as stack:
        made = [socket.socketpair() for _ in range(4)]
        for sock in (sock for pair in made for sock in pair):
            stack.enter_context(sock)
            sock.setblocking(False)
        yield made


Pairs = list[tuple[socket.socket, socket.socket]]


async def test_all_that_are_ready_are_told_so(poller: Poller, pairs: Pairs) -> None:
    told: list[int] = []
    for number, (ours, theirs) in enumerate(pairs):
        poller.add_reader(ours.fileno(), partial(told.append, number))
        if number != 2:
            theirs.send(b"x")
    await asyncio.sleep(0.01)
    assert set(told) == {0, 1, 3}
    for ours, _ in pairs:
        poller.remove_reader(ours.fileno())
    told.clear()
    await asyncio.sleep(0.01)
    assert told == []


async def test_a_socket_is_watched_for_reading_and_for_writing(poller: Poller, pairs: Pairs) -> None:
    (ours, theirs), *_ = pairs
    told: list[str] = []
    poller.add_reader(ours.fileno(), lambda: told.append("read"))
    poller.add_writer(ours.fileno(), lambda: told.append("write"))
    await asyncio.sleep(0.01)
    assert set(told) == {"write"}
    theirs.send(b"x")
    await asyncio.sleep(0.01)
    assert set(told) == {"write", "read"}
    poller.remove_writer(ours.fileno())
    told.clear()
    await asyncio.sleep(0.01)
    assert set(told) == {"read"}
    poller.remove_reader(ours.fileno())


async def test_a_callback_may_remove_another_one(poller: Poller, pairs: Pairs) -> None:
    (first, first_peer), (second, second_peer), *_ = pairs
    told: list[str] = []

    def remove_both(name: str) -> None:
        told.append(name)
        poller.remove_reader(first.fileno())
        poller.remove_reader(second.fileno())

    poller.add_reader(first.fileno(), lambda: remove_both("first"))
    poller.add_reader(second.fileno(), lambda: remove_both("second"))
    first_peer.send(b"x")
    second_peer.send(b"x")
    await asyncio.sleep(0.01)
    assert len(told) == 1


async def test_a_callback_that_fails_does_not_stop_the_others(poller: Poller, pairs: Pairs) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    told: list[str] = []

    def fail() -> None:
        poller.remove_reader(pairs[0][0].fileno())
        raise ZeroDivisionError

    poller.add_reader(pairs[0][0].fileno(), fail)
    poller.add_reader(pairs[1][0].fileno(), lambda: told.append("called"))
    for _, theirs in pairs[:2]:
        theirs.send(b"x")
    await asyncio.sleep(0.01)
    poller.remove_reader(pairs[1][0].fileno())
    assert told
    assert [type(context["exception"]) for context in reported] == [ZeroDivisionError]


async def test_an_error_is_told_again_and_again(poller: Poller, pairs: Pairs) -> None:
    (ours, theirs), *_ = pairs
    told = 0

    def count() -> None:
        nonlocal told
        told += 1

    ours.send(b"unread")
    poller.add_reader(ours.fileno(), count)
    theirs.close()
    await asyncio.sleep(0.01)
    poller.remove_reader(ours.fileno())
    assert told > 2


async def test_removing_what_is_not_watched_is_harmless(poller: Poller, pairs: Pairs) -> None:
    poller.remove_reader(pairs[0][0].fileno())
    poller.remove_writer(pairs[0][0].fileno())


async def test_it_has_a_descriptor_only_as_long_as_it_watches(poller: Poller, pairs: Pairs) -> None:
    before = open_descriptors()
    for _ in range(2):
        poller.add_reader(pairs[0][0].fileno(), lambda: None)
        assert open_descriptors() == before + 1
        poller.remove_reader(pairs[0][0].fileno())
        assert open_descriptors() == before


def test_it_does_not_keep_its_loop_alive() -> None:
    async def use() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            poller_of(asyncio.get_running_loop()).add_reader(ours.fileno(), lambda: None)  # and never removed

    before = open_descriptors()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use())
    loop.close()
    reference = weakref.ref(loop)
    del loop
    gc.collect()
    assert reference() is None
    assert open_descriptors() == before


async def test_transports_do_without_epoll(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    assert poller_of(asyncio.get_running_loop()) is asyncio.get_running_loop()
    async with all_closed():
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.settimeout(PATIENCE)
            async with await backend.wrap_stream_socket(ours) as transport:
                for _ in range(3):
                    theirs.send(b"question")
                    assert await transport.recv(100) == b"question"
                    await transport.send_all(b"answer")
                    await asyncio.sleep(0)
                    assert theirs.recv(100) == b"answer"
                sending = asyncio.create_task(transport.send_all(b"x" * 1_000_000))
                received = 0
                while received < 1_000_000:
                    received += len(await asyncio.to_thread(theirs.recv, 1 << 16))
                await sending
