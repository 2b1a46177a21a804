"""What a request handler may ask for at a ``yield``."""

from __future__ import annotations

__all__ = ["RecvAncillaryDataParams", "RecvParams"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class RecvAncillaryDataParams(NamedTuple):
    """Asks for the ancillary data that comes with the request.

    If the system has truncated it, for lack of room or of free file descriptors, `OSError` (``EMSGSIZE``) is raised at
    the ``yield``. The request stays for the next ``yield`` of the same generator.
    """

    data_received: Callable[[Any], object]
    """Called with the raw ancillary data, a list of ``(level, type, data)``, before the request is parsed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecvParams:
    """How to wait for the next request."""

    timeout: float | None = None
    """Longest time to wait, in seconds; None or infinity for ever. Then `TimeoutError` is raised at the ``yield``."""

    recv_with_ancillary: RecvAncillaryDataParams | None = None
    """If given, the request is received in one read, together with ancillary data (Unix sockets)."""
