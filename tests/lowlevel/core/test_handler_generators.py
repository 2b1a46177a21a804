"""How the generators of handlers start and end, and what they may yield."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.lowlevel.core.by_hand import OnePerRequest, suspend

from easynetwork.lowlevel._core.handler_generators import (
    HandlerGenerator,
    close_generator,
    parse_yielded,
    refuse_none,
    single_generator,
)
from easynetwork.lowlevel._core.requirements import Wait
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams

ANCILLARY = RecvAncillaryDataParams(print)


def test_a_single_generator_comes_once() -> None:
    generator = OnePerRequest()()
    next_generator = single_generator(generator)
    assert [next_generator(), next_generator(), next_generator()] == [generator, None, None]


def test_a_handler_that_returned_none_is_refused() -> None:
    with pytest.raises(TypeError, match="but the call returned None"):
        refuse_none()


@pytest.mark.parametrize(
    ("yielded", "timeout", "ancillary"),
    [
        (None, None, None),
        (0, 0, None),
        (2.5, 2.5, None),
        (math.inf, None, None),
        (RecvParams(), None, None),
        (RecvParams(timeout=0), 0, None),
        (RecvParams(timeout=math.inf, recv_with_ancillary=ANCILLARY), None, ANCILLARY),
        (RecvParams(timeout=1, recv_with_ancillary=ANCILLARY), 1, ANCILLARY),
    ],
)
def test_a_handler_may_yield_a_timeout_and_a_claim(yielded: Any, timeout: float | None, ancillary: Any) -> None:
    assert parse_yielded(yielded) == (timeout, ancillary)


@pytest.mark.parametrize("yielded", [None, 3, RecvParams(timeout=3, recv_with_ancillary=ANCILLARY)])
def test_a_wait_tells_what_a_handler_has_yielded_for_it(yielded: Any) -> None:
    assert Wait(*parse_yielded(yielded)).as_yielded() == yielded


@pytest.mark.parametrize("closings", [0, 1, 2])
def test_closing_a_generator_waits_for_it(closings: int) -> None:
    async def handle() -> HandlerGenerator[Any]:
        try:
            yield None
        finally:
            for closing in range(closings):
                await suspend(closing)

    generator = handle()
    with pytest.raises(StopIteration):
        generator.__anext__().__await__().send(None)
    coroutine = close_generator(generator)
    for closing in range(closings):
        assert coroutine.send(None) == closing
    with pytest.raises(StopIteration):
        coroutine.send(None)
