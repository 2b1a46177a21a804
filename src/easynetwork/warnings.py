"""Warning categories of this library."""

from __future__ import annotations

__all__ = ["EasyNetworkWarning", "ManualBufferAllocationWarning"]


class EasyNetworkWarning(UserWarning):
    """Base class of the warnings of this library."""


class ManualBufferAllocationWarning(EasyNetworkWarning):
    """A buffer was allocated although another API avoids it. Never emitted; kept for existing warning filters."""
