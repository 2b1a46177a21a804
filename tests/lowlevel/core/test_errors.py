"""What errors mean."""

from __future__ import annotations

import errno
import os
import ssl

import pytest
from tests.support.faulty_sockets import LOST

from easynetwork.lowlevel._core.errors import (
    error_from_errno,
    is_stream_end,
    raise_stream_error,
    stream_error,
    too_late,
)


@pytest.mark.parametrize("code", LOST, ids=errno.errorcode.get)
def test_network_that_gives_up_ends_a_stream(code: int) -> None:
    exc = error_from_errno(code)
    error = stream_error(exc)
    assert isinstance(error, ConnectionAbortedError)
    assert error.errno == errno.ECONNABORTED
    assert error.__cause__ is exc
    assert os.strerror(code) in str(error)
    assert is_stream_end(error)


@pytest.mark.parametrize(
    "exc",
    [
        TimeoutError(),
        TimeoutError("no packet arrived"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        BrokenPipeError(errno.EPIPE, "broken"),
        error_from_errno(errno.EBADF),
        error_from_errno(errno.ENOBUFS),
        ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "cut"),
        ssl.SSLError(ssl.SSL_ERROR_SSL, "no TLS"),
        ValueError("not an OSError"),
    ],
    ids=repr,
)
def test_all_other_errors_mean_what_they_say(exc: Exception) -> None:
    assert stream_error(exc) is exc


def test_what_an_error_means_is_raised() -> None:
    lost, other = error_from_errno(LOST[0]), error_from_errno(errno.EBADF)
    with pytest.raises(ConnectionAbortedError) as caught:
        raise_stream_error(lost)
    assert caught.value.__cause__ is lost
    with pytest.raises(OSError, match="Bad file descriptor") as unchanged:
        raise_stream_error(other)
    assert unchanged.value is other


def test_time_out_is_not_the_end_of_a_stream() -> None:
    error = too_late("No packet arrived", 3)
    assert isinstance(error, TimeoutError)
    assert error.errno == errno.ETIMEDOUT
    assert error.strerror == "No packet arrived in 3 seconds"
    assert not is_stream_end(error)
