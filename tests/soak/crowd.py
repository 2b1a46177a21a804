"""Many connections, which are quiet or misbehave.

Obeys ``quiet``: all connect, and do nothing; ``loud``: each does one bad thing after the other, from the recorded seed;
``leave``: all are gone. Prints how often each thing has been begun so far.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import random
from collections.abc import Awaitable, Callable

from tests.soak.mischief import MISCHIEF, TLS_MISCHIEF, Mischief
from tests.soak.program import Obey, connect, main

AT_THE_DOOR = 32
"""How many connect at the same time."""

ARRIVING = 3.0
"""Seconds within which the peers begin to misbehave, one after the other; less if the measurement is shorter."""

LONGEST = 15.0
"""Seconds after which a peer gives up a misdeed that takes too long."""


class Crowd:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._begun: collections.Counter[str] = collections.Counter()
        self._members: list[asyncio.Task[None]] = []
        self._phase = 0
        self._arriving = min(ARRIVING, options.seconds)
        self._mischief = [*MISCHIEF, *(TLS_MISCHIEF if options.authority else [])]

    async def gather(self, behave: Callable[[random.Random], Awaitable[None]]) -> str:
        """Let all peers leave, come back and behave like that. Return when all are there."""
        await self.leave()
        self._phase += 1
        self._door = asyncio.Semaphore(AT_THE_DOOR)
        self._inside = 0
        for number in range(self._options.connections):
            rng = random.Random(f"{self._options.seed}-{self._phase}-{number}")
            self._members.append(asyncio.create_task(self._be_there(behave, rng)))
        while self._inside < len(self._members):
            await asyncio.sleep(0.01)
        return json.dumps(self._begun)

    async def _be_there(self, behave: Callable[[random.Random], Awaitable[None]], rng: random.Random) -> None:
        await self._door.acquire()
        await behave(rng)

    async def quietly(self, rng: random.Random) -> None:
        async with connect(self._options):
            self._inside += 1
            self._door.release()
            await asyncio.get_running_loop().create_future()

    async def loudly(self, rng: random.Random) -> None:
        self._door.release()
        await asyncio.sleep(rng.random() * self._arriving)
        self._inside += 1
        weights = [weight for weight, _ in self._mischief]
        while True:
            mischief: Mischief
            [(_, mischief)] = rng.choices(self._mischief, weights)
            self._begun[mischief.__name__] += 1
            try:
                async with asyncio.timeout(LONGEST):
                    await mischief(self._options, rng)
            except* (
                OSError,
                EOFError,
                RuntimeError,
            ):  # TimeoutError, too; uvloop has the last one for lost connections
                pass

    async def leave(self) -> str:
        staying = set(self._members)
        self._members.clear()
        while staying:
            for member in staying:
                member.cancel()
            # Python 3.11 forgets a cancellation that comes together with an error in a task group.
            gone, staying = await asyncio.wait(staying, timeout=1)
            for member in gone:
                if not member.cancelled():
                    member.result()  # an error: the crowd was smaller than announced
        return json.dumps(self._begun)


async def run(options: argparse.Namespace, obey: Obey) -> None:
    os.nice(5)  # trouble for the server, not for the honest clients next to it
    # What this side makes of broken connections does not matter.
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    crowd = Crowd(options)
    await obey(
        {"quiet": lambda: crowd.gather(crowd.quietly), "loud": lambda: crowd.gather(crowd.loudly), "leave": crowd.leave}
    )
    await crowd.leave()


if __name__ == "__main__":
    main(run)
