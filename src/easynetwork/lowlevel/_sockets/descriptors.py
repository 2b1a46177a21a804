"""The file descriptors that the process may still open."""

from __future__ import annotations

__all__ = ["DescriptorCounter"]

import sys

if sys.platform == "win32":

    class DescriptorCounter:
        """Does what it does elsewhere. Here, sockets are not limited."""

        __slots__ = ("_enough",)

        def __init__(self, enough: int) -> None:
            self._enough = enough

        def count_free(self) -> int:
            return self._enough

else:
    import resource
    import select

    class DescriptorCounter:
        """Counts the free descriptors of the process, without opening any. Threads must not share a counter.

        It looks at the last numbers below the limit (``RLIMIT_NOFILE``) only. A process gets the lowest free number for
        each descriptor, so these are in use only while descriptors are scarce, and for some time afterwards.

        Parameters:
            enough: the number of free descriptors from which the caller does not need to know more.
        """

        __slots__ = ("_enough", "_limit", "_numbers")

        def __init__(self, enough: int) -> None:
            self._enough = enough
            self._limit = -1

        def count_free(self) -> int:
            """Return the number of free descriptors among the last ``2 * enough`` numbers, at most *enough*."""
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            if limit == resource.RLIM_INFINITY:
                return self._enough
            if limit != self._limit:
                self._limit = limit
                self._numbers = select.poll()
                for number in range(max(limit - 2 * self._enough, 0), limit):
                    self._numbers.register(number, 0)
            events = [event for _, event in self._numbers.poll(0)]
            return min(events.count(select.POLLNVAL), self._enough)
