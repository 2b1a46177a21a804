"""Ancillary data on its way to a handler."""

from __future__ import annotations

import errno

import pytest

from easynetwork.lowlevel._core.ancillary import TruncatedMessages


def test_truncated_messages_raise_where_they_are_read() -> None:
    error = OSError(errno.EMSGSIZE, "truncated")
    with pytest.raises(OSError, match="truncated") as caught:
        list(TruncatedMessages(error))
    assert caught.value is error
