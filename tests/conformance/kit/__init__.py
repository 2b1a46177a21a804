"""A conformance kit: checks that every transport and every listener has to pass, whoever wrote it.

The checks are written against the interfaces of `easynetwork.lowlevel.api_async` and know no event loop. To run them
over a transport of your own, describe it in a *harness*: a subclass of `harness.StreamHarness` (or of one of its
siblings) which makes a connected pair, your transport and a *peer* that does not use your code, and which says by
`Feature` flags what your transport can do. Then have pytest run each check on each event loop::

    @conformance_cases(STREAM_CHECKS, [(MyHarness(), asyncio_runners())])
    def test_my_transport(runner: Runner, harness: StreamHarness, check: Check[StreamStage]) -> None:
        runner.run(partial(set_stage, StreamStage, harness), check)

A check that fails raises what any test raises. Besides, each run fails if it takes longer than `runner.PATIENCE`,
leaves a file descriptor or a task behind, drops something that is still open, or has an error reported to the event
loop.
"""

from __future__ import annotations

__all__: list[str] = []
