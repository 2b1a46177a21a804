"""Which checks run over what, and where: the parameters of a test."""

from __future__ import annotations

__all__ = ["conformance_cases"]

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import pytest

from .checks import Checks, name_of
from .harness import Harness
from .runner import Runner

_T_Stage = TypeVar("_T_Stage")


def conformance_cases(
    checks: Checks[_T_Stage], subjects: Iterable[tuple[Harness, Sequence[Runner]]]
) -> pytest.MarkDecorator:
    """Return a decorator for a test with the parameters *runner*, *harness* and *check*.

    Parameters:
        checks: those that apply to a harness are run.
        subjects: the harnesses, and the event loops that make a difference to each.
    """
    cases: list[Any] = [
        pytest.param(runner, harness, check, id=f"{harness}-{runner}-{name_of(check)}")
        for harness, runners in subjects
        for runner in runners
        for check in checks.of(harness)
    ]
    return pytest.mark.parametrize(("runner", "harness", "check"), cases)
