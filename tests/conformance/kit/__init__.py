"""A conformance kit: checks that every transport and every listener passes, of the library or of its users.

The checks are written against the interfaces of `easynetwork.lowlevel.api_async` and know no event loop. To run them
over a transport of your own, describe it in a *harness*: a subclass of `harness.StreamHarness` (or of one of its
siblings) which makes a connected pair, your transport and a *peer* that does not use your code, and which says by
`Feature` flags what your transport can do. Then let pytest run each check on each event loop::

    @conformance_cases(STREAM_CHECKS, [(MyHarness(), asyncio_runners())])
    def test_my_transport(runner: Runner, harness: StreamHarness, check: Check[StreamStage]) -> None:
        runner.run(partial(set_stage, StreamStage, harness), check)

A check that fails raises what any test raises. A run also fails if it takes longer than `runner.PATIENCE`, leaves a
file descriptor or a task behind, drops something that is still open, or reports an error to the event loop.
"""

from __future__ import annotations

__all__: list[str] = []
