"""What an exception of user code means."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any

import pytest

from easynetwork.lowlevel._core.faults import Origin, closes_coroutine, partition, split_fault
from easynetwork.lowlevel._core.handler_generators import close_generator, not_a_generator


class Panic(BaseException):
    pass


class Cancelled(BaseException):
    pass


def is_cancellation(exc: BaseException) -> bool:
    return isinstance(exc, Cancelled)


@pytest.mark.parametrize("fault", [ValueError(), Panic(), GeneratorExit(), ExceptionGroup("", [OSError()])])
def test_most_exceptions_are_faults(fault: BaseException) -> None:
    assert split_fault(fault, is_cancellation) == (fault, None)


@pytest.mark.parametrize("ending", [SystemExit(), KeyboardInterrupt(), Cancelled()])
def test_some_exceptions_propagate(ending: BaseException) -> None:
    assert split_fault(ending, is_cancellation) == (None, ending)


def test_cancellation_is_a_fault_where_nothing_can_be_cancelled() -> None:
    exc = Cancelled()
    assert split_fault(exc) == (exc, None)


def test_group_is_split_at_any_depth() -> None:
    lookup, fatal, panic = LookupError(), SystemExit(), Panic()
    fault, ending = split_fault(BaseExceptionGroup("", [lookup, BaseExceptionGroup("", [fatal, panic])]))
    assert isinstance(fault, BaseExceptionGroup)
    assert fault.exceptions[0] is lookup
    assert isinstance(ending, BaseExceptionGroup)
    assert ending.split(SystemExit)[1] is None


def test_cancellations_of_a_group_become_one() -> None:
    first, second, lookup = Cancelled(), Cancelled(), LookupError()
    group = BaseExceptionGroup("", [BaseExceptionGroup("", [first]), second, lookup])
    fault, ending = split_fault(group, is_cancellation)
    assert ending is first
    assert isinstance(fault, ExceptionGroup)
    assert fault.exceptions == (lookup,)


def test_fatal_exception_wins_over_cancellations() -> None:
    fatal = KeyboardInterrupt()
    fault, ending = split_fault(BaseExceptionGroup("", [Cancelled(), fatal]), is_cancellation)
    assert fault is None
    assert isinstance(ending, BaseExceptionGroup)
    assert ending.exceptions == (fatal,)


def test_group_that_need_not_be_split_stays_as_it_is() -> None:
    group = ExceptionGroup("", [ValueError(), ExceptionGroup("", [ValueError()])])
    assert partition(group, lambda exc: isinstance(exc, ValueError)) == (group, None)
    assert partition(group, lambda exc: isinstance(exc, OSError)) == (None, group)


# ------------------------------------------------------------------------------------------------- ends of coroutines


async def catch(coroutine: Coroutine[Any, Any, Any], verdicts: list[bool]) -> None:
    try:
        await coroutine
    except BaseException as exc:
        verdicts.append(closes_coroutine(exc))


class Forever:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def wait() -> None:
    await Forever()


async def leave() -> None:
    raise GeneratorExit


def test_closed_coroutine_is_told_from_one_whose_code_raises_the_same() -> None:
    verdicts: list[bool] = []
    closed = catch(wait(), verdicts)
    closed.send(None)
    closed.close()
    assert verdicts == [True]
    with pytest.raises(StopIteration):
        catch(leave(), verdicts).send(None)
    assert verdicts == [True, False]


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def ends_by(error: BaseException | None) -> AsyncGenerator[None, None]:
    try:
        yield
    except GeneratorExit as exc:
        if error is not None:
            raise error from None
        raise BaseExceptionGroup("", [BaseExceptionGroup("", [exc])]) from None


def test_exit_of_a_generator_in_groups_is_its_normal_end() -> None:
    async def close() -> None:
        agen = ends_by(None)
        await anext(agen)
        await close_generator(agen)

    run(close())


@pytest.mark.parametrize("error", [ValueError(), ExceptionGroup("", [ValueError()])])
def test_error_at_the_end_of_a_generator_propagates(error: Exception) -> None:
    async def close() -> None:
        agen = ends_by(error)
        await anext(agen)
        with pytest.raises(type(error)) as caught:
            await close_generator(agen)
        assert caught.value is error

    run(close())


def test_error_at_the_end_of_a_generator_propagates_without_its_exit() -> None:
    async def close() -> None:
        agen = ends_by(BaseExceptionGroup("", [GeneratorExit(), ValueError()]))
        await anext(agen)
        with pytest.raises(ExceptionGroup) as caught:
            await close_generator(agen)
        assert [type(exc) for exc in caught.value.exceptions] == [ValueError]

    run(close())


def test_coroutine_instead_of_a_generator_is_closed() -> None:
    coroutine = wait()
    assert "<coroutine object wait" in str(not_a_generator(coroutine))
    with pytest.raises(RuntimeError, match="cannot reuse"):
        coroutine.send(None)


# ------------------------------------------------------------------------------------------------- origins of errors


def test_error_keeps_its_origin_and_gives_it_to_no_other() -> None:
    here, there = Origin(), Origin()
    error = ConnectionResetError()
    assert not here.is_of(error)
    here.claim(error)
    assert here.is_of(error)
    assert not there.is_of(error)
    other = ConnectionAbortedError()
    other.__cause__ = error
    assert not here.is_of(other)


def test_error_with_an_origin_can_be_copied_and_pickled() -> None:
    error = ConnectionResetError(1, "x")
    Origin().claim(error)
    assert copy.deepcopy(error).args == pickle.loads(pickle.dumps(error)).args == (1, "x")


class UnderivableGroup(BaseExceptionGroup[BaseException]):
    def derive(self, excs: Any, /) -> Any:
        raise ZeroDivisionError


def nested(depth: int, *inside: BaseException) -> BaseExceptionGroup[BaseException]:
    group = BaseExceptionGroup("innermost", inside)
    for _ in range(depth):
        group = BaseExceptionGroup("around", [group])
    return group


@pytest.mark.parametrize(
    "group",
    [UnderivableGroup("", [KeyError(), SystemExit()]), nested(5000, KeyError(), SystemExit())],
    ids=["cannot be derived", "too deep to be split"],
)
def test_a_group_that_cannot_be_split_is_taken_apart(group: BaseExceptionGroup[BaseException]) -> None:
    fault, ending = split_fault(group)
    assert fault is not None
    assert ending is not None
    assert (type(innermost(fault)), type(innermost(ending))) == (KeyError, SystemExit)


def innermost(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):  # Python 3.14 splits groups that are nested this deeply
        [exc] = exc.exceptions
    return exc


def test_a_group_that_need_not_be_split_stays_as_it_is() -> None:
    for group in (UnderivableGroup("", [Panic(), GeneratorExit()]), nested(5000, Panic())):
        assert split_fault(group) == (group, None)
