"""Child processes made by fork(2), which share all objects of the test."""

from __future__ import annotations

__all__ = ["in_child_process", "needs_fork"]

import os
import signal
import traceback
import warnings
from collections.abc import Callable

import pytest

_PATIENCE = 30

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")


def in_child_process(action: Callable[[], object]) -> None:
    """Call *action* in a child process, and wait for its end. Fail if it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12+: there may be threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(_PATIENCE)  # rather than wait for ever
        try:
            action()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
