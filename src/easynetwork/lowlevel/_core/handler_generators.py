"""The generators of request handlers: how they start and end, and what they may yield."""

from __future__ import annotations

__all__ = [
    "HandedOver",
    "HandlerGenerator",
    "NextGenerator",
    "UnregisteredGenerators",
    "abandon_generator",
    "close_generator",
    "end_generator",
    "failed_step",
    "finished_step",
    "not_a_generator",
    "parse_yielded",
    "refuse_none",
    "resumed_step",
    "single_generator",
    "unregistered_generators",
]

import math
import sys
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams

from .faults import raise_without_generator_exit

_T_Request = TypeVar("_T_Request")

HandlerGenerator: TypeAlias = AsyncGenerator[float | RecvParams | None, _T_Request]

NextGenerator: TypeAlias = Callable[[], HandlerGenerator[_T_Request] | None]
"""A function that returns the generator for the next requests, or None to end."""


def single_generator(generator: HandlerGenerator[_T_Request]) -> NextGenerator[_T_Request]:
    """Return a function that returns *generator* once, and None afterwards."""
    generators: list[HandlerGenerator[_T_Request]] = [generator]
    return lambda: generators.pop() if generators else None


class UnregisteredGenerators:
    """An asyncgen hook (:func:`sys.set_asyncgen_hooks`) that keeps the generators of handlers from the event loop.

    The loop's hook registers each generator that starts, to close it at shutdown. A dispatcher closes its generators
    itself. All other generators reach the loop's hook.
    """

    __slots__ = ("_register", "starting")

    def __init__(self, register: Callable[[AsyncGenerator[Any, Any]], object] | None) -> None:
        self._register = register
        self.starting: AsyncGenerator[Any, Any] | None = None
        """The next generator to start, which is not registered. The hook sets this to None when it has started."""

    def first_iteration(self, agen: AsyncGenerator[Any, Any]) -> None:
        if agen is self.starting:
            self.starting = None
        elif self._register is not None:
            self._register(agen)


def unregistered_generators() -> UnregisteredGenerators:
    """Return the hook of the running event loop. Install it if this has not been done since the loop began to run.

    It stays until the loop stops, which is cheaper than to remove the loop's hook for each generator.
    """
    register, _ = sys.get_asyncgen_hooks()
    installed = getattr(register, "__self__", None)
    if isinstance(installed, UnregisteredGenerators):
        return installed
    hook = UnregisteredGenerators(register)
    if register is not None:
        sys.set_asyncgen_hooks(firstiter=hook.first_iteration)
    return hook


async def close_generator(agen: AsyncGenerator[Any, Any]) -> None:
    """Close *agen*. Its errors propagate, without a `GeneratorExit` that a task group put into an exception group."""
    try:
        await agen.aclose()
    except BaseExceptionGroup as group:
        raise_without_generator_exit(group)


def abandon_generator(agen: AsyncGenerator[Any, Any]) -> None:
    """Close *agen* as far as this is possible without awaiting anything. Its errors propagate.

    Call this if the coroutine that runs *agen* is itself being closed. Otherwise the event loop would close *agen* in a
    new task, or never if it has already stopped.
    """
    next(agen.aclose().__await__(), None)


async def end_generator(agen: AsyncGenerator[Any, Any]) -> NoReturn:
    """Close *agen*, then raise `StopAsyncIteration`, as if *agen* had returned."""
    await close_generator(agen)
    raise StopAsyncIteration


class HandedOver(BaseException):
    """Thrown into a dispatcher that waits for bytes or a datagram, by a driver that has resumed its generator.

    Parameters:
        step: what is left of the last step of the generator: an awaitable, whose result is what the generator yields.
        steps: number of steps since the last turn of the event loop.
        is_start: whether that step is the first one of the generator.
        datagram: what was received and is not handled yet; None if there is nothing.
    """

    def __init__(self, step: Any, steps: int = 0, is_start: bool = False, datagram: bytes | None = None) -> None:
        super().__init__()
        self.step: Final = step
        self.steps: Final = steps
        self.is_start: Final = is_start
        self.datagram: Final = datagram


@types.coroutine
def finished_step(yielded: Any) -> Generator[Any, Any, Any]:
    """Return what is left of a step at the end of which a generator has *yielded* this object."""
    return yielded
    yield


@types.coroutine
def failed_step(exc: BaseException) -> Generator[Any, Any, Any]:
    """Return what is left of a step that has raised *exc*."""
    try:
        raise exc
    finally:
        del exc  # avoid a reference cycle with the traceback
    yield


@types.coroutine
def resumed_step(step: Any, awaited: Any) -> Generator[Any, Any, Any]:
    """Return what is left of *step*, an iterator, of which *awaited* is the first item."""
    received: list[Any] = []  # holds an answer or error only until *step* gets it: a chunk must not stay in memory
    try:
        while True:
            resume = step.send
            try:
                received.append((yield awaited))
            except GeneratorExit:
                step.close()
                raise
            except BaseException as exc:
                resume = step.throw
                received.append(exc)
            awaited = resume(received.pop())
    except StopIteration as stop:
        return stop.value


def not_a_generator(made: object) -> TypeError:
    """Return the error for a handler that returned *made* instead of an asynchronous generator."""
    if isinstance(made, Coroutine):
        made.close()  # prevents the "never awaited" warning
    return TypeError(
        "A request handler must be an asynchronous generator function ('async def' with a 'yield' in it), "
        f"but the call returned {made!r}"
    )


def refuse_none() -> NoReturn:
    """Raise `not_a_generator` for a handler that returned None, which would otherwise end the dispatcher."""
    raise not_a_generator(None)


def parse_yielded(yielded: object) -> tuple[float | None, RecvAncillaryDataParams | None]:
    """Return the timeout in seconds and the request for ancillary data of an object that a handler *yielded*.

    Raises:
        TypeError: *yielded* is not None, a number or `RecvParams`, or has a field of a wrong type.
        ValueError: the timeout is negative or NaN, and everything else is valid.
    """
    params = RecvParams(timeout=yielded) if isinstance(yielded, (int, float)) else yielded
    if params is None:
        return None, None
    if not isinstance(params, RecvParams):
        raise TypeError(f"A request handler may yield None, a number or RecvParams, got {yielded!r}")
    timeout, ancillary = params.timeout, params.recv_with_ancillary
    try:
        is_valid = timeout is None or timeout >= 0
    except TypeError:
        raise TypeError(f"The timeout of a yield must be None or a number, got {timeout!r}") from None
    if ancillary is not None and not callable(getattr(ancillary, "data_received", None)):
        raise TypeError(f"'recv_with_ancillary' must be None or RecvAncillaryDataParams, got {ancillary!r}")
    if not is_valid:
        raise ValueError(f"The timeout of a yield must not be negative or NaN, got {timeout!r}")
    return None if timeout == math.inf else timeout, ancillary
