"""Parameters that a request handler may yield to receive its next request."""

from __future__ import annotations

__all__ = ["RecvAncillaryDataParams", "RecvParams"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class RecvAncillaryDataParams(NamedTuple):
    """Request the ancillary data that comes with the next request.

    If the system truncated the ancillary data, for lack of buffer space or of free file descriptors, `OSError`
    (``EMSGSIZE``) is raised at the ``yield``. The request is kept for the next ``yield`` of the same generator.
    """

    data_received: Callable[[Any], object]
    """Called with the raw ancillary data, a list of ``(level, type, data)``, before the request is parsed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecvParams:
    """Options for receiving the next request."""

    timeout: float | None = None
    """Seconds before `TimeoutError` is raised at the ``yield``. With None or infinity, there is no time limit."""

    recv_with_ancillary: RecvAncillaryDataParams | None = None
    """If given, receive the request in one read together with its ancillary data (Unix sockets only)."""
