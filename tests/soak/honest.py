"""Clients that do as they ought to: ask, wait for the answer, think for a moment.

Obeys ``measure``: prints how many answers all have got per second, and how many the slowest client got in all. Obeys
``leave``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import time

from tests.soak.program import Obey, connect, main, make_line

THINKING = 0.02
"""Seconds between an answer and the next question: what is measured is how soon an answer comes."""


class Client:
    """Asks, all the time. A wrong answer ends the program."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rng: random.Random) -> None:
        self._reader = reader
        self._writer = writer
        self._rng = rng
        self.answers = 0

    async def run(self) -> None:
        while True:
            question = make_line(self._rng)
            self._writer.write(question)
            answer = await self._reader.readexactly(len(question))
            assert answer == question, "the answer differs from the question"
            self.answers += 1
            await asyncio.sleep(THINKING)


async def run(options: argparse.Namespace, obey: Obey) -> None:
    clients: list[Client] = []

    async def measure() -> str:
        before = [client.answers for client in clients]
        begin = time.perf_counter()
        await asyncio.sleep(options.seconds)
        got = [client.answers - count for client, count in zip(clients, before, strict=True)]
        return json.dumps({"rate": sum(got) / (time.perf_counter() - begin), "slowest": min(got)})

    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for number in range(options.connections):
            reader, writer = await stack.enter_async_context(connect(options))
            clients.append(Client(reader, writer, random.Random(f"{options.seed}-{number}")))
        asking = [tasks.create_task(client.run()) for client in clients]

        async def leave() -> int:
            for task in asking:
                task.cancel()
            await stack.aclose()
            return sum(client.answers for client in clients)

        await obey({"measure": measure, "leave": leave})
        await leave()


if __name__ == "__main__":
    main(run)
