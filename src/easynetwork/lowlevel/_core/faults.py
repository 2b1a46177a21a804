"""What an exception means that user code has raised: for one connection, for the server, or nothing at all.

User code is whatever a server calls: the methods of a request handler, converters, serializers, framing hooks,
callbacks. The rule, in this order:

- `SystemExit`, `KeyboardInterrupt` and the cancellation of the task itself end the server: they propagate.
- `GeneratorExit`, alone or in groups of nothing else, is the normal end of a generator that is being closed.
- Everything else is a *fault*. It costs one connection, or one datagram's generator, and one log record: also what is
  not an `Exception`, such as the panics of native extensions, or a `CancelledError` of another task.

Groups are split: what propagates is separated from the faults.
"""

from __future__ import annotations

__all__ = [
    "Origin",
    "closes_coroutine",
    "partition",
    "raise_without_generator_exit",
    "split_fault",
]

from collections.abc import Callable, Iterator
from typing import Final

_ENDS_EVERYTHING: Final = (SystemExit, KeyboardInterrupt)


def split_fault(
    exc: BaseException, is_cancellation: Callable[[BaseException], bool] | None = None
) -> tuple[BaseException | None, BaseException | None]:
    """Return what of *exc* is a fault, to be logged, and what is to propagate.

    Parameters:
        exc: what user code has raised.
        is_cancellation: whether an exception is the cancellation of the current task. None where there is no such
            thing: in a function that is not awaited.
    """
    if isinstance(exc, Exception):  # an ExceptionGroup holds nothing else
        return exc, None

    def propagates(item: BaseException) -> bool:
        return isinstance(item, _ENDS_EVERYTHING) or (is_cancellation is not None and is_cancellation(item))

    ending, fault = partition(exc, propagates)
    if isinstance(ending, BaseExceptionGroup) and is_cancellation is not None:
        # Event loops know a cancellation only if it is alone.
        cancellation, others = partition(ending, is_cancellation)
        ending = _first(cancellation) if others is None and cancellation is not None else others
    return fault, ending


def partition(
    exc: BaseException, belongs: Callable[[BaseException], bool]
) -> tuple[BaseException | None, BaseException | None]:
    """Return what *belongs* and what does not; None where there is nothing. A group is split at any depth.

    What need not be split is *exc* itself.
    """
    if not isinstance(exc, BaseExceptionGroup):
        return (exc, None) if belongs(exc) else (None, exc)
    members = list(_members(exc))
    matching = [member for member in members if belongs(member)]
    if not matching or len(matching) == len(members):
        return (exc, None) if matching else (None, exc)
    try:
        return exc.split(lambda item: not isinstance(item, BaseExceptionGroup) and belongs(item))
    except Exception:  # it is nested too deeply, or of a class whose derive() fails
        others = [member for member in members if not belongs(member)]
        return BaseExceptionGroup("Part of a group", matching), BaseExceptionGroup("Part of a group", others)


def _members(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield what is in *group*, at any depth."""
    stack: list[BaseException] = [group]
    while stack:
        item = stack.pop()
        if isinstance(item, BaseExceptionGroup):
            stack.extend(reversed(item.exceptions))
        else:
            yield item


def _first(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


# ------------------------------------------------------------------------------------------------ ends of generators


def closes_coroutine(exc: BaseException) -> bool:
    """Return whether *exc*, just caught, closes the very coroutine that has caught it (:pep:`342`).

    That coroutine must not await anything any more. Such a `GeneratorExit` begins in the frame that catches it; that of
    user code comes from a frame below.
    """
    if not isinstance(exc, GeneratorExit):
        return False
    return exc.__traceback__ is None or exc.__traceback__.tb_next is None


def raise_without_generator_exit(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise what *group*, by a generator that was closed, has besides `GeneratorExit`; nothing if that is all."""
    _, error = partition(group, lambda item: isinstance(item, GeneratorExit))
    if error is not None:
        try:
            raise error
        finally:
            del error  # no cycle of an exception and its own traceback


# ------------------------------------------------------------------------------------------------- origins of errors

_ORIGIN: Final = "_easynetwork_origin"


class Origin:
    """Tells the errors of one connection, or of one sender of datagrams, from all others.

    A type says too little: a `ConnectionError` may come from a database or from another client. So each error that a
    connection raises or throws carries its origin. It keeps it wherever it goes: re-raised, or in a group. An exception
    that user code raises *from* it is another one.
    """

    __slots__ = ()

    def claim(self, exc: BaseException) -> None:
        """Note that *exc* comes from here."""
        vars(exc)[_ORIGIN] = self

    def is_of(self, exc: BaseException) -> bool:
        """Return whether *exc* comes from here."""
        return vars(exc).get(_ORIGIN) is self
