"""Blocking transports made of what does not block: try, and if that is too early, wait for the descriptor."""

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
"""Seconds. poll(2) takes milliseconds in a C ``int``: it could not wait for a month."""


class WouldBlockOnRead(Exception):
    """The operation has to wait until a descriptor can be read.

    Parameters:
        fileno: the descriptor.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno)
        self.fileno: int = fileno
        """The descriptor."""


class WouldBlockOnWrite(Exception):
    """The operation has to wait until a descriptor can be written.

    Parameters:
        fileno: the descriptor.
    """

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno)
        self.fileno: int = fileno
        """The descriptor."""


class SelectorBaseTransport(BaseTransport):
    """What waits for descriptors.

    Parameters:
        retry_interval: the longest single wait, in seconds, before an operation is tried again; may be infinite.
        selector_factory: makes the selector for each wait; by default the shortest way that the system offers.

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
        """Calls *callback* until it does not raise `WouldBlockOnRead` or `WouldBlockOnWrite`: once at least.

        Parameters:
            callback: tries the operation, without waiting.
            timeout: how many seconds to wait in all.

        Returns:
            The result of *callback*, and how much of *timeout* is left.

        Raises:
            ValueError: *timeout* is negative or NaN.
            TimeoutError: *timeout* is over.
            OSError: ``EBADF``: there is no descriptor to wait for.
        """
        check_timeout("timeout", timeout)
        while True:
            try:
                return callback(), timeout
            except WouldBlockOnRead as exc:
                fileno, event = exc.fileno, selectors.EVENT_READ
            except WouldBlockOnWrite as exc:
                fileno, event = exc.fileno, selectors.EVENT_WRITE
            timeout = self._wait(fileno, event, timeout)

    def _wait(self, fileno: int, event: int, timeout: float) -> float:
        """Waits until it is worth to try again; returns how much of *timeout* is left then."""
        if timeout <= 0:
            raise _too_late(event)
        if fileno < 0:
            raise error_from_errno(errno.EBADF)
        if timeout == math.inf:
            self._wait_ready(fileno, event, self._retry_interval)
            return timeout
        interval = min(timeout, self._retry_interval)
        started = time.monotonic()
        if not self._wait_ready(fileno, event, interval) and interval == timeout:
            raise _too_late(event)
        return max(timeout - (time.monotonic() - started), 0.0)


def _too_late(event: int) -> OSError:
    # Not the text of the system, "Connection timed out": the connection may be in perfect order.
    what = "Nothing arrived" if event == selectors.EVENT_READ else "Nothing more could be sent"
    return OSError(errno.ETIMEDOUT, f"{what} in time")


def _wait_by_selector(
    selector_factory: Callable[[], selectors.BaseSelector], fileno: int, event: int, timeout: float
) -> bool:
    with selector_factory() as selector:
        selector.register(fileno, event)
        return bool(selector.select(timeout))


if hasattr(select, "poll"):

    def _wait_by_default(fileno: int, event: int, timeout: float) -> bool:
        # What a PollSelector does, at a third of its price: this is on the way of most received packets.
        poller = select.poll()
        poller.register(fileno, select.POLLIN if event == selectors.EVENT_READ else select.POLLOUT)
        return bool(poller.poll(math.ceil(timeout * 1000)))

else:
    _wait_by_default = partial(_wait_by_selector, selectors.SelectSelector)


class SelectorStreamReadTransport(SelectorBaseTransport, StreamReadTransport):
    """The receiving direction of a byte stream that is read without blocking."""

    __slots__ = ()

    def recv_noblock(self, bufsize: int) -> bytes:
        """Receives what there is, at most *bufsize* bytes.

        Returns:
            The bytes; ``b""`` at the end of the stream, and for a *bufsize* of 0.

        Raises:
            ValueError: *bufsize* is negative.
            WouldBlockOnRead: there is nothing to read.
            WouldBlockOnWrite: something has to be written first.
            OSError: the connection broke or the transport is closed.
        """
        return recv_by_buffer(bufsize, self.recv_noblock_into)

    @abstractmethod
    def recv_noblock_into(self, buffer: WriteableBuffer) -> int:
        """Receives what there is into *buffer*, a writable contiguous buffer.

        Returns:
            The number of bytes written; 0 at the end of the stream, and for an empty *buffer*.

        Raises:
            WouldBlockOnRead: there is nothing to read.
            WouldBlockOnWrite: something has to be written first.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def recv_noblock_with_ancillary(self, bufsize: int, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Like `recv_noblock`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv_noblock_with_ancillary_into(self, buffer: WriteableBuffer, ancillary_bufsize: int) -> tuple[int, Any]:
        """Like `recv_noblock_into`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
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
    """The sending direction of a byte stream that is written without blocking."""

    __slots__ = ()

    @abstractmethod
    def send_noblock(self, data: bytes | bytearray | memoryview) -> int:
        """Sends as much of *data* as the system takes now.

        Returns:
            The number of bytes sent.

        Raises:
            WouldBlockOnWrite: the system takes nothing now.
            WouldBlockOnRead: something has to be read first.
            OSError: the connection broke or the transport is closed.
        """
        raise NotImplementedError

    def send_all_noblock_with_ancillary(
        self, iterable_of_data: Iterable[bytes | bytearray | memoryview], ancillary_data: Any
    ) -> None:
        """Sends all pieces together with *ancillary_data* in one :manpage:`sendmsg(2)`.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
            WouldBlockOnWrite: the system takes nothing now.
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
    """A byte stream that does not block, in both directions."""

    __slots__ = ()


class SelectorDatagramReadTransport(SelectorBaseTransport, DatagramReadTransport):
    """The receiving direction of a datagram socket that does not block."""

    __slots__ = ()

    @abstractmethod
    def recv_noblock(self) -> bytes:
        """Receives one datagram.

        Raises:
            WouldBlockOnRead: there is none.
            WouldBlockOnWrite: something has to be written first.
            OSError: the transport is closed, or the network reported an error.
        """
        raise NotImplementedError

    def recv_noblock_with_ancillary(self, ancillary_bufsize: int) -> tuple[bytes, Any]:
        """Like `recv_noblock`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
        """
        raise UnsupportedOperation("This transport does not support receiving ancillary data")

    def recv(self, timeout: float) -> bytes:
        return self._retry(self.recv_noblock, timeout)[0]

    def recv_with_ancillary(self, ancillary_bufsize: int, timeout: float) -> tuple[bytes, Any]:
        return self._retry(partial(self.recv_noblock_with_ancillary, ancillary_bufsize), timeout)[0]


class SelectorDatagramWriteTransport(SelectorBaseTransport, DatagramWriteTransport):
    """The sending direction of a datagram socket that does not block."""

    __slots__ = ()

    @abstractmethod
    def send_noblock(self, data: bytes | bytearray | memoryview) -> None:
        """Sends one datagram.

        Raises:
            WouldBlockOnWrite: the system does not take it now.
            WouldBlockOnRead: something has to be read first.
            OSError: the transport is closed, the datagram is too long (``EMSGSIZE``), or the network reported an error.
        """
        raise NotImplementedError

    def send_noblock_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any) -> None:
        """Like `send_noblock`, together with ancillary data.

        Raises:
            UnsupportedOperation: this transport carries no ancillary data.
        """
        raise UnsupportedOperation("This transport does not support sending ancillary data")

    def send(self, data: bytes | bytearray | memoryview, timeout: float) -> None:
        self._retry(partial(self.send_noblock, data), timeout)

    def send_with_ancillary(self, data: bytes | bytearray | memoryview, ancillary_data: Any, timeout: float) -> None:
        ancillary_data = _reusable(ancillary_data)
        self._retry(partial(self.send_noblock_with_ancillary, data, ancillary_data), timeout)


class SelectorDatagramTransport(SelectorDatagramWriteTransport, SelectorDatagramReadTransport, DatagramTransport):
    """Datagrams to and from one peer, without blocking."""

    __slots__ = ()


def _reusable(ancillary_data: Any) -> Any:
    """Returns what can be given to several attempts: a list of what an iterator would give once."""
    return list(ancillary_data) if isinstance(ancillary_data, Iterator) else ancillary_data
