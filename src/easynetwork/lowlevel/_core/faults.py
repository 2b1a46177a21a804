"""Classification of exceptions from user code: which end the server, which end a connection, and which end nothing.

User code is everything that a server calls: the methods of a request handler, converters, serializers, framing hooks
and callbacks. The rules apply in this order:

- `SystemExit`, `KeyboardInterrupt` and the cancellation of the current task propagate and end the server.
- `GeneratorExit`, alone or in groups that contain nothing else, is the normal end of a generator that is being closed.
- Everything else is a *fault*. It ends one connection, or the generator of one datagram sender, and produces one log
  record. This includes exceptions that are not an `Exception`, such as panics of native extensions, and a
  `CancelledError` of another task.

Groups are split into the part that propagates and the faults.
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
    """Split *exc* into the fault to log and the part to propagate. Either may be None.

    Parameters:
        exc: the exception that user code raised.
        is_cancellation: returns whether an exception is the cancellation of the current task. None in functions that
            are not awaited, where no cancellation can occur.
    """
    if isinstance(exc, Exception):  # an ExceptionGroup contains only instances of Exception
        return exc, None

    def propagates(item: BaseException) -> bool:
        return isinstance(item, _ENDS_EVERYTHING) or (is_cancellation is not None and is_cancellation(item))

    ending, fault = partition(exc, propagates)
    if isinstance(ending, BaseExceptionGroup) and is_cancellation is not None:
        # Event loops recognize a cancellation only outside a group.
        cancellation, others = partition(ending, is_cancellation)
        ending = _first(cancellation) if others is None and cancellation is not None else others
    return fault, ending


def partition(
    exc: BaseException, belongs: Callable[[BaseException], bool]
) -> tuple[BaseException | None, BaseException | None]:
    """Split *exc* into the part that *belongs* and the rest, or None for an empty part. Groups are split at any depth.

    If one part is empty, the other is *exc* itself.
    """
    if not isinstance(exc, BaseExceptionGroup):
        return (exc, None) if belongs(exc) else (None, exc)
    members = list(_members(exc))
    matching = [member for member in members if belongs(member)]
    if not matching or len(matching) == len(members):
        return (exc, None) if matching else (None, exc)
    try:
        return exc.split(lambda item: not isinstance(item, BaseExceptionGroup) and belongs(item))
    except Exception:  # nested too deeply, or a subclass whose derive() fails
        others = [member for member in members if not belongs(member)]
        return BaseExceptionGroup("Part of a group", matching), BaseExceptionGroup("Part of a group", others)


def _members(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions in *group* that are not groups, at any depth."""
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
    """Return whether *exc*, just caught, closes the coroutine that caught it (:pep:`342`).

    Such a coroutine must not await anything any more. A `GeneratorExit` that closes the coroutine starts in the frame
    that catches it. One raised by user code starts in an inner frame.
    """
    if not isinstance(exc, GeneratorExit):
        return False
    return exc.__traceback__ is None or exc.__traceback__.tb_next is None


def raise_without_generator_exit(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise the exceptions in *group* except `GeneratorExit`. Return if there are no others.

    *group* comes from a generator that was closed.
    """
    _, error = partition(group, lambda item: isinstance(item, GeneratorExit))
    if error is not None:
        try:
            raise error
        finally:
            del error  # avoid a reference cycle with the traceback


# ------------------------------------------------------------------------------------------------- origins of errors

_ORIGIN: Final = "_easynetwork_origin"


class Origin:
    """A mark on the errors of one connection or one datagram sender.

    The type of an exception is not enough: a `ConnectionError` may come from a database or from another client.
    Therefore each error that a connection raises or throws carries its origin, also when it is re-raised or put into a
    group. An exception that user code raises *from* it does not carry the origin.
    """

    __slots__ = ()

    def claim(self, exc: BaseException) -> None:
        """Mark *exc* as an error of this origin."""
        vars(exc)[_ORIGIN] = self

    def is_of(self, exc: BaseException) -> bool:
        """Return whether *exc* carries this origin."""
        return vars(exc).get(_ORIGIN) is self
