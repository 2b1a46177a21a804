"""The demo's view of its server: start the process, query it and end it."""

from __future__ import annotations

__all__ = ["ServerProcess", "running_server"]

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from easynetwork.cli.demo.server import END
from easynetwork.cli.demo.transport import Address
from easynetwork.cli.errors import CommandError
from easynetwork.servers import ServerStatistics

_SECONDS_TO_ANSWER = 30.0
_SECONDS_TO_END = 5.0


class ServerProcess:
    """A running server."""

    __slots__ = ("_process", "address")

    def __init__(self, process: Process, address: Address) -> None:
        self._process = process
        self.address: Address = address

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    async def cpu_seconds(self) -> float:
        """Return the CPU time, user and system, that the process has used so far.

        Raises:
            CommandError: the process has ended, or does not answer.
        """
        seconds: float = (await self._ask(b"cpu\n"))["cpu_seconds"]
        return seconds

    async def statistics(self) -> ServerStatistics:
        """Return the numbers of the server.

        Raises:
            CommandError: the process has ended, or does not answer.
        """
        return ServerStatistics(**await self._ask(b"statistics\n"))

    async def _ask(self, question: bytes) -> dict[str, Any]:
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():  # uvloop refuses to write to a pipe without a reader
            self._process.stdin.write(question)
        return await _read_answer(self._process)


@asynccontextmanager
async def running_server(
    transport: str, loop: str, frame_limit: int, folder: Path, measure: Sequence[str] = ()
) -> AsyncIterator[ServerProcess]:
    """Start a server, and end it at the end of the context, even after an error.

    *folder* is for its files. *measure* is what it measures for its statistics.

    Raises:
        CommandError: the process does not start.
    """
    arguments = ("-m", "easynetwork.cli.demo.server", transport, loop, str(frame_limit), str(folder), *measure)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        # Import the same modules as this process, not those in the current directory.
        env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        # Ctrl-C in a terminal goes to a whole process group, but this process must end the server.
        start_new_session=True,
    )
    try:
        yield ServerProcess(process, (await _read_answer(process))["address"])
    finally:
        await _end(process)


async def _read_answer(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_SECONDS_TO_ANSWER):
            line = await process.stdout.readline()
    except TimeoutError:
        raise CommandError(f"the server process did not answer within {_SECONDS_TO_ANSWER:g} s") from None
    if not line:
        raise CommandError(f"the server process ended with status {await process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


async def _end(process: Process) -> None:
    assert process.stdin is not None
    if not process.stdin.is_closing():  # uvloop refuses to write to a pipe without a reader
        process.stdin.write(END.encode())
    process.stdin.close()
    try:
        async with asyncio.timeout(_SECONDS_TO_END):
            # The pipe to a dead server is broken, and asyncio logs the error unless it is retrieved.
            with suppress(OSError):
                await process.stdin.wait_closed()
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
