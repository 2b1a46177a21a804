"""Coroutines of the core driven by hand: the test sees each requirement and answers it."""

from __future__ import annotations

__all__ = ["ByHand", "Clock", "Looping", "OnePerRequest", "stream_dispatcher", "suspend"]

import types
from collections.abc import Callable, Generator
from typing import Any

from tests.support.framing_cases import Line

from easynetwork.lowlevel._core.errors import is_stream_end
from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
from easynetwork.lowlevel._core.stream_decoders.choice import decoder_factory
from easynetwork.lowlevel._core.stream_dispatch import StreamDispatcher
from easynetwork.protocol import AnyStreamProtocolType, StreamProtocol


class Clock:
    """A clock that a test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 1.0


class ByHand:
    """Runs a coroutine of the core. `required` is what it has yielded, `ending` what it has returned."""

    def __init__(self, coroutine: Generator[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self.ending: Any = None
        self.required: Any = None
        self.answer(None)

    def answer(self, answer: Any) -> Any:
        """Resume the coroutine with *answer*. Return what it requires then."""
        return self._step(self._coroutine.send, answer)

    def throw(self, exc: BaseException) -> Any:
        """Throw *exc* into the coroutine. Return what it requires then."""
        try:
            return self._step(self._coroutine.throw, exc)
        finally:
            del exc  # its traceback refers to this frame

    def close(self) -> None:
        self._coroutine.close()

    def _step(self, resume: Callable[[Any], Any], argument: Any) -> Any:
        try:
            self.required = resume(argument)
        except StopIteration as stop:
            self.required, self.ending = None, stop.value
        finally:
            del argument
        return self.required


def stream_dispatcher(
    protocol: AnyStreamProtocolType[Any, Any] | None = None,
    *,
    ancillary_bufsize: int | None = None,
    is_disconnection: Callable[[Exception], bool] | None = is_stream_end,
    by_chunks: bool = True,
) -> StreamDispatcher[Any]:
    """Return a dispatcher of lines, or of another *protocol*."""
    decoder = decoder_factory(protocol or StreamProtocol(Line(b"\n")), 1024, by_chunks=by_chunks)()
    return StreamDispatcher(decoder, 1024, ancillary_bufsize, is_disconnection)


class Looping:
    """Makes one generator, which notes all that its yields return and raise.

    Parameters:
        yields: what to yield, in turn.
    """

    def __init__(self, *yields: Any) -> None:
        self._yields = yields or (None,)
        self._turn = 0
        self.log: list[Any] = []
        self.made = 0

    def __call__(self) -> HandlerGenerator[Any] | None:
        self.made += 1
        return self._handle() if self.made == 1 else None

    async def _handle(self) -> HandlerGenerator[Any]:
        while True:
            self._turn += 1
            try:
                request = yield self._yields[self._turn % len(self._yields) - 1]
            except GeneratorExit:
                self.log.append("closed")
                raise
            except BaseException as exc:
                self.log.append(type(exc))
            else:
                self.log.append(request)
            if self._is_done():
                return

    def _is_done(self) -> bool:
        return False


class OnePerRequest(Looping):
    """Makes a generator for each request and for each error."""

    def __call__(self) -> HandlerGenerator[Any]:
        self.made += 1
        return self._handle()

    def _is_done(self) -> bool:
        return True


@types.coroutine
def suspend(marker: object) -> Generator[Any, Any, Any]:
    """Suspend the handler: yield *marker* to the driver. Return what it resumes the handler with."""
    return (yield marker)
