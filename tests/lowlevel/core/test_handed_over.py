"""A driver resumes the generator of a dispatcher itself, and hands over what is left. Compiled drivers do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.lowlevel.core.by_hand import ByHand, Looping, OnePerRequest, stream_dispatcher, suspend

from easynetwork.lowlevel._core.handler_generators import (
    HandedOver,
    HandlerGenerator,
    failed_step,
    finished_step,
    resumed_step,
)
from easynetwork.lowlevel._core.requirements import BYTES, STEPS_PER_TURN, TURN, Wait
from easynetwork.lowlevel._core.stream_dispatch import NEVER_YIELDED, RETURNED


class Stepped:
    """A dispatcher whose generators the test resumes."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self.dispatcher = stream_dispatcher()
        self.run = ByHand(self.dispatcher.run(handler))

    def resume(self, argument: Any) -> Any:
        """Resume the generator, as far as the first thing that it yields to the event loop. Return what is left."""
        assert self.dispatcher.generator is not None
        step = self.dispatcher.generator.asend(argument)
        try:
            awaited = step.send(None)
        except StopIteration as stop:
            return finished_step(stop.value)
        except BaseException as exc:
            return failed_step(exc)
        return resumed_step(step, awaited)

    def hand_over(self, step: Any, **options: Any) -> Any:
        return self.run.throw(HandedOver(step, **options))


def test_the_dispatcher_goes_on_after_a_finished_step() -> None:
    stepped = Stepped(Looping())
    assert stepped.hand_over(stepped.resume(b"a")) is BYTES
    assert stepped.run.answer(b"b\n") is BYTES
    assert stepped.handler.log == [b"a", b"b"]


def test_it_waits_as_the_step_has_yielded() -> None:
    stepped = Stepped(Looping(None, 5.0))
    wait = stepped.hand_over(stepped.resume(b"a"))
    assert isinstance(wait, Wait)
    assert wait.timeout == 5.0


def test_it_decodes_what_the_driver_has_left_to_it() -> None:
    stepped = Stepped(Looping())
    stepped.dispatcher._decoder.feed(b"b\nc")
    assert stepped.hand_over(stepped.resume(b"a")) is BYTES
    assert stepped.run.answer(b"\n") is BYTES
    assert stepped.handler.log == [b"a", b"b", b"c"]


def test_it_takes_a_turn_after_as_many_steps_as_usual() -> None:
    stepped = Stepped(Looping())
    assert stepped.hand_over(finished_step(None), steps=STEPS_PER_TURN) is TURN
    assert stepped.run.answer(None) is BYTES


def test_it_starts_the_next_generator_after_the_last_step_of_one() -> None:
    stepped = Stepped(OnePerRequest())
    assert stepped.hand_over(stepped.resume(b"a")) is BYTES
    assert stepped.run.answer(b"b\n") is BYTES
    assert stepped.handler.log == [b"a", b"b"]
    assert stepped.handler.made == 3


def test_it_knows_a_generator_that_the_driver_has_started() -> None:
    stepped = Stepped(OnePerRequest())
    stepped.resume(b"a")
    stepped.dispatcher.generator = stepped.handler()
    stepped.resume(None)
    assert stepped.run.answer(b"b\n") is BYTES  # without a word
    assert stepped.handler.log == [b"a", b"b"]


def test_it_throws_an_error_into_a_generator_that_the_driver_has_started() -> None:
    stepped = Stepped(OnePerRequest())
    stepped.resume(b"a")
    stepped.dispatcher.generator = stepped.handler()
    stepped.resume(None)
    stepped.run.throw(KeyError())
    assert stepped.handler.log == [b"a", KeyError]


def test_a_generator_that_ends_with_its_first_step_ends_the_dispatcher() -> None:
    stepped = Stepped(Looping())
    stepped.hand_over(failed_step(StopAsyncIteration()), is_start=True)
    assert stepped.run.ending is NEVER_YIELDED
    stepped = Stepped(Looping())
    stepped.hand_over(failed_step(StopAsyncIteration()))
    assert stepped.run.ending is RETURNED


def test_an_error_of_a_step_goes_out() -> None:
    stepped = Stepped(Looping())
    with pytest.raises(KeyError) as info:
        stepped.hand_over(failed_step(KeyError("a")))
    assert info.value.__context__ is None
    assert info.value.__cause__ is None


class Suspending:
    """One generator that awaits two answers of the driver for each request."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self._generators = [self._handle()]

    def __call__(self) -> HandlerGenerator[Any] | None:
        return self._generators.pop() if self._generators else None

    async def _handle(self) -> HandlerGenerator[Any]:
        while True:
            self.log.append((yield None))
            for marker in ("first", "second"):
                try:
                    self.log.append(await suspend(marker))
                except LookupError as exc:
                    self.log.append(type(exc))


def test_what_a_step_awaits_gets_the_answers_of_the_driver() -> None:
    stepped = Stepped(Suspending())
    assert stepped.hand_over(stepped.resume(b"a")) == "first"
    assert stepped.run.answer(1) == "second"
    assert stepped.run.answer(2) is BYTES
    assert stepped.handler.log == [b"a", 1, 2]


def test_what_a_step_awaits_gets_the_errors_of_the_driver() -> None:
    stepped = Stepped(Suspending())
    assert stepped.hand_over(stepped.resume(b"a")) == "first"
    assert stepped.run.throw(LookupError()) == "second"
    assert stepped.run.throw(KeyError()) is BYTES
    assert stepped.handler.log == [b"a", LookupError, KeyError]
    assert stepped.hand_over(stepped.resume(b"b")) == "first"
    with pytest.raises(ZeroDivisionError):
        stepped.run.throw(ZeroDivisionError())


def test_a_step_that_awaits_can_be_closed() -> None:
    stepped = Stepped(Suspending())
    assert stepped.hand_over(stepped.resume(b"a")) == "first"
    stepped.run.close()
    assert stepped.handler.log == [b"a"]
