"""Categories of the warnings that this library may emit."""

from __future__ import annotations

__all__ = ["EasyNetworkWarning", "ManualBufferAllocationWarning"]


class EasyNetworkWarning(UserWarning):
    """Base of all of them."""


class ManualBufferAllocationWarning(EasyNetworkWarning):
    """A buffer was allocated where another API would save it. Kept for programs that filter it: never emitted."""
