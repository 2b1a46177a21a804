"""Several tasks on one datagram transport; and cancelling them."""

from __future__ import annotations

__all__: list[str] = []

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.datagram.stage import DATAGRAM_CHECKS, DatagramStage
from tests.conformance.kit.outcomes import attempt, is_busy


@DATAGRAM_CHECKS()
async def a_second_receiver_is_refused_and_the_first_goes_on(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        first = await group.start(stage.transport.recv)
        await stage.settle()
        assert is_busy(await attempt(stage.transport.recv))
        assert not first.done()
        await stage.peer_sends(b"x")
        assert await first.join() == b"x"
    await stage.peer_sends(b"y")
    assert await stage.transport.recv() == b"y"


@DATAGRAM_CHECKS()
async def many_may_send_at_once(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        for number in range(50):
            group.start_soon(stage.transport.send, b"%d" % number)
        received = {await stage.peer_receives() for _ in range(50)}
    assert received == {b"%d" % number for number in range(50)}


@DATAGRAM_CHECKS()
async def datagrams_go_both_ways_at_the_same_time(stage: DatagramStage) -> None:
    count = 300
    there = [stage.rng.randbytes(stage.rng.randrange(200)) for _ in range(count)]
    received: list[bytes] = []
    echoed: list[bytes] = []

    async def send() -> None:
        for number, data in enumerate(there):
            await stage.until(lambda: len(received) > number - 20)  # noqa: B023 - awaited right here
            await stage.transport.send(data)

    async def receive() -> None:
        while len(received) < count:
            received.append(await stage.transport.recv())

    async with stage.backend.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(receive)
        while len(echoed) < count:
            data = await stage.peer_receives()
            echoed.append(data)
            await stage.peer_sends(data[::-1])
    assert echoed == there
    assert received == [data[::-1] for data in there]


@DATAGRAM_CHECKS()
async def a_waiting_receiver_does_not_stop_sending(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        receiver = await group.start(stage.transport.recv)
        await stage.settle()
        for _ in range(10):
            await stage.transport.send(b"x")
            assert await stage.peer_receives() == b"x"
        assert not receiver.done()
        await stage.peer_sends(b"y")
        assert await receiver.join() == b"y"


@DATAGRAM_CHECKS(needs=Feature.RELIABLE)
async def who_sends_waits_until_there_is_room(stage: DatagramStage) -> None:
    count = 2000
    sent = 0

    async def send() -> None:
        nonlocal sent
        for number in range(count):
            await stage.transport.send(b"%d" % number + bytes(1000))
            sent += 1

    async with stage.backend.create_task_group() as group:
        sender = await group.start(send)
        before = -1
        while before < sent:
            before = sent
            await stage.settle()
        assert sent < count
        for number in range(count):
            assert await stage.peer_receives() == b"%d" % number + bytes(1000)
        await sender.join()


@DATAGRAM_CHECKS(needs=Feature.RELIABLE)
async def many_may_wait_until_there_is_room(stage: DatagramStage) -> None:
    count = 400
    async with stage.backend.create_task_group() as group:
        for number in range(count):
            group.start_soon(stage.transport.send, b"%d" % number)
        await stage.settle()
        received = {await stage.peer_receives() for _ in range(count)}
    assert received == {b"%d" % number for number in range(count)}


@DATAGRAM_CHECKS(needs=Feature.RELIABLE)
async def a_cancelled_sender_has_sent_its_datagram_or_not(stage: DatagramStage) -> None:
    async with stage.backend.create_task_group() as group:
        senders = [await group.start(stage.transport.send, b"%d" % number) for number in range(400)]
        await stage.settle()
        for sender in stage.rng.sample(senders, 100):
            sender.cancel()
        received: list[bytes] = []

        async def receive() -> None:
            while True:
                received.append(await stage.peer_receives())

        receiver = await group.start(receive)
        for sender in senders:
            await sender.wait()
        await stage.settle()
        receiver.cancel()
    assert len(received) == len(set(received))
    for number, sender in enumerate(senders):
        if not sender.cancelled():
            assert b"%d" % number in received


@DATAGRAM_CHECKS()
async def a_cancelled_reception_loses_no_datagram(stage: DatagramStage) -> None:
    """At any point: before it waits, while it does, together with the arrival of a datagram, and after it."""
    count = 150
    sent = 0
    received: list[bytes] = []

    def feed() -> None:
        nonlocal sent
        for _ in range(stage.rng.randrange(1, 3)):
            if sent < count:
                assert stage.peer.send(b"%d" % sent)
                sent += 1

    async with stage.backend.create_task_group() as group:
        while len(received) < count:
            task = await group.start(stage.transport.recv)
            steps = [feed, task.cancel]
            stage.rng.shuffle(steps)
            for step in steps:
                await stage.yield_at_random()
                step()
            await task.wait()
            if not task.cancelled():
                received.append(await task.join())
    assert received == [b"%d" % number for number in range(count)]


@DATAGRAM_CHECKS()
async def a_reception_that_times_out_loses_no_datagram(stage: DatagramStage) -> None:
    received: list[bytes] = []
    sent = 0
    while len(received) < 50:
        if stage.rng.random() < 0.7:
            await stage.peer_sends(b"%d" % sent)
            sent += 1
        with stage.backend.move_on_after(stage.rng.choice([0, 0, 0.0003])):
            received.append(await stage.transport.recv())
    assert received == [b"%d" % number for number in range(50)]
