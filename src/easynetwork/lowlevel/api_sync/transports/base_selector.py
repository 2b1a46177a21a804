"""Blocking transports built on non-blocking operations: try, wait for the descriptor if necessary, and retry."""

from __future__ import annotations

__all__ = [
    "SelectorBaseTransport",
    "SelectorDatagramReadTransport",
    "SelectorDatagramTransport",
    "SelectorDatagramWriteTransport",
    "SelectorStreamReadTransport",
    "SelectorStreamTransport",
    "SelectorStreamWriteTransport",
    "WouldBlockOnRead",
    "WouldBlockOnWrite",
]

import errno
import math
import select
import selectors
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, Final, TypeVar

from easynetwork._checks import check_above_zero, check_timeout
from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._core.errors import error_from_errno

from .abc import (
    BaseTransport,
    DatagramReadTransport,
    DatagramTransport,
    DatagramWriteTransport,
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
    recv_by_buffer,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_T_Return = TypeVar("_T_Return")

_LONGEST_WAIT: Final = 24 * 60 * 60.0
"""Maximum duration of a single wait, in seconds. poll(2) takes milliseconds in a C ``int``, which allows 24 days."""


class WouldBlockOnRead(Exception):
    """The operation must wait until a descriptor is readable.

    Parameters:
        fileno: the descriptor.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno)
        self.fileno: int = fileno
        """The descriptor."""


class WouldBlockOnWrite(Exception):
    """The operation must wait until a descriptor is writable.

    Parameters:
        fileno: the descriptor.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno)
        self.fileno: int = fileno
        """The descriptor."""


class SelectorBaseTransport(BaseTransport):
    """Base class of the transports that wait for descriptors.

    Parameters:
        retry_interval: maximum duration of a single wait before an operation is retried, in seconds; may be infinite.
        selector_factory: creates the selector for each wait; by default, the fastest method of the system is used.

    Raises:
        ValueError: *retry_interval* is not above 0.
    """

    __slots__ = ("_retry_interval", "_wait_ready")

    def __init__(
        self, retry_interval: float, selector_factory: Callable[[], selectors.BaseSelector] | None = None
    ) -> None:
        check_above_zero("retry_interval", retry_interval)
        self._retry_interval = min(retry_interval, _LONGEST_WAIT)
        self._wait_ready: Callable[[int, int, float], bool] = (
            partial(_wait_by_selector, selector_factory) if selector_factory else _wait_by_default
        )

    def _retry(self, callback: Callable[[], _T_Return], timeout: float) -> tuple[_T_Return, float]:
        """Call *callback* until it no longer raises `WouldBlockOnRead` or `WouldBlockOnWrite`, at least once.

        Parameters:
            callback: tries the operation without waiting.
            timeout: total number of seconds to wait.

        Returns:
            The result of *callback* and the rest of *timeout*.

        Raises:
            ValueError: *timeout* is negative or NaN.
            TimeoutError: the operation did not succeed in time.
            OSError: ``EBADF``: the descriptor is closed.
        """
        check_timeout("timeout", timeout)
        while True:
            try:
                return callback(), timeout
            except WouldBlockOnRead as exc:
                fileno, event = exc.fileno, EVENT_READ
            except WouldBlockOnWrite as exc:
                fileno, event = exc.fileno, EVENT_WRITE
            timeout = self._wait(fileno, event, timeout)

    def _wait(self, fileno: int, event: int, timeout: float) -> float:
        """Wait until the operation may succeed. Return the rest of *timeout*."""
        if fileno < 0 < timeout:
            raise error_from_errno(errno.EBADF)
        if timeout == math.inf:
            self._wait_ready(fileno, event, self._retry_interval)
            return timeout
        if timeout <= 0:
            raise _time_out_error(event)
        interval = min(timeout, self._retry_interval)
        started = time.monotonic()
        if not self._wait_ready(fileno, event, interval) and interval == timeout:
            raise _time_out_error(event)
        return max(timeout - (time.monotonic() - started), 0.0)


def _time_out_error(event: int) -> OSError:
    # The system's text, "Connection timed out", would be wrong: the connection may be intact.
    what = "Nothing arrived" if event == EVENT_READ else "Nothing more could be sent"
    return OSError(errno.ETIMEDOUT, f"{what} in time")


def _wait_by_selector(
    selector_factory: Callable[[], selectors.BaseSelector], fileno: int, event: int, timeout: float
) -> bool:
    with selector_factory() as selector:
        selector.register(fileno, event)
        return bool(selector.select(timeout))


if hasattr(select, "poll"):
    _POLLED_EVENTS: Final = {EVENT_READ: select.POLLIN, EVENT_WRITE: select.POLLOUT}

    def _wait_by_default(fileno: int, event: int, timeout: float) -> bool:
        # Equivalent to a PollSelector at a third of the cost. Most receive calls wait here.
        poller = select.poll()
        poller.register(fileno, _POLLED_EVENTS[event])
        return bool(poller.poll(math.ceil(timeout * 1000)))

else:
    _wait_by_default = partial(_wait_by_selector, selectors.SelectSelector)


class SelectorStreamReadTransport(SelectorBaseTransport, StreamReadTransport):
    """The receiving direction of a non-blocking byte stream."""

    __slots__ = ()

    def recv_noblock(self, bufsize: int) -> bytes:
        """Receive the available bytes, at most *bufsize*.

        Returns:
            The bytes; ``b""`` at the end of the stream, or if *bufsize* is 0.

        Raises:
            ValueError: *bufsize* is negative.
            WouldBlockOnRead: no data is available.
            WouldBlockOnWrite: data must be written first.
            OSError: the connection broke or the transport is closed.
        """
        return recv_by_buffer(bufsize, self.recv_noblock_into)

    @abstractmethod
    def recv_noblock_into(self, buffer: WriteableBuffer) -> int:
        """Receive the available bytes into *buffer*, a writable contiguous buffer.

        Returns:
            The number of bytes written; 0 at the end of the stream, or if *buffer* is empty.

        Raises:
            WouldBlockOnRead: no data is available.
            WouldBlockOnWrite: data must be written first.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def recv_noblock_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Receive bytes like `recv_noblock`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv_noblock_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        """Receive bytes like `recv_noblock_into`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv(self, bufsize: int, timeout: float) -> bytes:
        return self._retry(partial(self.recv_noblock, bufsize), timeout)[0]

    def recv_into(self, buffer: WriteableBuffer, timeout: float) -> int:
        return self._retry(partial(self.recv_noblock_into, buffer), timeout)[0]

    def recv_with_ancillary(self, bufsize: int, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        return self._retry(partial(self.recv_noblock_with_ancillary, bufsize, ancillary_bufsize), timeout)[0]

    def recv_with_ancillary_into(
        self, buffer: WriteableBuffer, ancillary_bufsize: int, timeout: float
    ) -> tuple[int, Any]:
        return self._retry(partial(self.recv_noblock_with_ancillary_into, buffer, ancillary_bufsize), timeout)[0]


class SelectorStreamWriteTransport(SelectorBaseTransport, StreamWriteTransport):
    """The sending direction of a non-blocking byte stream."""

    __slots__ = ()

    @abstractmethod
    def send_noblock(self, data: bytes | bytearray | memoryview) -> int:
        """Send as much of *data* as the system accepts now.

        Returns:
            The number of bytes sent.

        Raises:
            WouldBlockOnWrite: the system does not accept data now.
            WouldBlockOnRead: data must be read first.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def send_all_noblock_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        """Send all pieces together with *ancillary_data* in one :manpage:`sendmsg(2)` call.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
            WouldBlockOnWrite: the system does not accept data now.
            OSError: ``EMSGSIZE``: the data does not fit in one call.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")

    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> int:
        return self._retry(partial(self.send_noblock, data), timeout)[0]

    def send_all_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any, timeout: float
    ) -> None:
        pieces = list(iterable_of_data)
        ancillary_data = _reusable(ancillary_data)
        self._retry(partial(self.send_all_noblock_with_ancillary, pieces, ancillary_data), timeout)


class SelectorStreamTransport(SelectorStreamWriteTransport, SelectorStreamReadTransport, StreamTransport):
    """A non-blocking byte stream in both directions."""

    __slots__ = ()


class SelectorDatagramReadTransport(SelectorBaseTransport, DatagramReadTransport):
    """The receiving direction of a non-blocking datagram socket."""

    __slots__ = ()

    @abstractmethod
    def recv_noblock(self) -> bytes:
        """Receive one datagram.

        Raises:
            WouldBlockOnRead: no datagram is available.
            WouldBlockOnWrite: data must be written first.
            OSError: the transport is closed, or the network reported an error.
        """
        raise NotImplementedError

    def recv_noblock_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Receive one datagram like `recv_noblock`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv(self, timeout: float) -> bytes:
        return self._retry(self.recv_noblock, timeout)[0]

    def recv_with_ancillary(self, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        return self._retry(partial(self.recv_noblock_with_ancillary, ancillary_bufsize), timeout)[0]


class SelectorDatagramWriteTransport(SelectorBaseTransport, DatagramWriteTransport):
    """The sending direction of a non-blocking datagram socket."""

    __slots__ = ()

    @abstractmethod
    def send_noblock(self, data: bytes | bytearray | memoryview) -> None:
        """Send one datagram.

        Raises:
            WouldBlockOnWrite: the system does not accept the datagram now.
            WouldBlockOnRead: data must be read first.
            OSError: the transport is closed, the datagram is too long (``EMSGSIZE``), or the network reported an error.
        """
        raise NotImplementedError

    def send_noblock_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        """Send one datagram like `send_noblock`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport does not support ancillary data.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")

    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        self._retry(partial(self.send_noblock, data), timeout)

    def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any, timeout: float) -> None:
        ancillary_data = _reusable(ancillary_data)
        self._retry(partial(self.send_noblock_with_ancillary, data, ancillary_data), timeout)


class SelectorDatagramTransport(SelectorDatagramWriteTransport, SelectorDatagramReadTransport, DatagramTransport):
    """Non-blocking datagrams to and from one peer."""

    __slots__ = ()


def _reusable(ancillary_data: Any) -> Any:
    """Return *ancillary_data* in a form that can be sent several times: convert an iterator to a list."""
    return list(ancillary_data) if isinstance(ancillary_data, Iterator) else ancillary_data
