"""The guard that lets one task in at a time."""

from __future__ import annotations

import pytest

from easynetwork.exceptions import BusyResourceError
from easynetwork.lowlevel._resource_guard import ResourceGuard


def test_a_second_user_is_refused_and_not_queued() -> None:
    guard = ResourceGuard("another one is here")
    with guard:
        for _ in range(2):
            with pytest.raises(BusyResourceError, match="another one is here"), guard:
                pytest.fail("two users at a time")
            with pytest.raises(BusyResourceError):
                guard.check()
        assert guard.busy


def test_the_next_user_is_let_in_however_the_first_has_left() -> None:
    guard = ResourceGuard("busy")
    with pytest.raises(ZeroDivisionError), guard:
        raise ZeroDivisionError
    guard.check()
    with guard:
        pass
    assert not guard.busy
