"""Run programs in one interpreter: `python -m benchmarks.differential.worker NAME...` prints a JSON line per run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn

from benchmarks.differential.table import Program, load
from benchmarks.differential.transcript import Transcript

__all__ = ["PATIENCE", "main", "run_program"]

PATIENCE = 10.0  # seconds for one run on one loop
_LAST_PATIENCE = 12.0  # seconds until a run that cannot be cancelled is ended


def main(names: Sequence[str]) -> None:
    """Run the programs of these names on each of their loops, each time in its own process."""
    programs = load({name.partition("/")[0] for name in names})
    for name in names:
        for loop in programs[name].loops or ("",):
            if (child := os.fork()) == 0:
                _run_in_child(programs[name], loop)
            os.waitpid(child, 0)


def _run_in_child(program: Program, loop: str) -> NoReturn:
    transcript = Transcript()

    def tell() -> NoReturn:
        signal.setitimer(signal.ITIMER_REAL, 0)
        run = {"program": program.name, "loop": loop, "lines": transcript.lines}
        os.write(1, f"{json.dumps(run)}\n".encode())
        os._exit(0)  # a hanging thread must not keep the process alive

    def give_up(*_: object) -> NoReturn:
        transcript.say("(the program)", "did not end")
        tell()

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _LAST_PATIENCE)
    with transcript.listening():
        run_program(program, loop, transcript)
    tell()


def run_program(program: Program, loop: str, transcript: Transcript) -> None:
    """Run the program, which writes *transcript*. If it fails, record the error as the last line."""
    try:
        if loop:
            _run(loop, lambda: program.function(transcript, _backend(loop)))
        else:
            program.function(transcript)
    except BaseException as error:
        transcript.failed("(the program)", error)


def _backend(loop: str) -> Any:
    from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend

    return new_builtin_backend("trio" if loop == "trio" else "asyncio")


def _run(loop: str, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if loop == "trio":
        import trio

        async def bounded_by_trio() -> None:
            with trio.fail_after(PATIENCE):
                await function()

        trio.run(bounded_by_trio)
        return

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await function()

    if loop == "uvloop":
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    else:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(bounded())


if __name__ == "__main__":
    main(sys.argv[1:])
