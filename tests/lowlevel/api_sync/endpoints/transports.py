"""The base of the transports that tests of endpoints make themselves."""

from __future__ import annotations

__all__ = ["MinimalTransport"]

from typing import Any

from easynetwork.lowlevel.api_sync.transports.abc import BaseTransport


class MinimalTransport(BaseTransport):
    """Closes. It can neither send nor receive, and tells nothing."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def is_closed(self) -> bool:
        return self.closed

    @property
    def extra_attributes(self) -> Any:
        return {}
