"""The checks of stream listeners. Importing this package fills `LISTENER_CHECKS`."""

from __future__ import annotations

__all__ = ["LISTENER_CHECKS", "ListenerStage"]

from . import accepting as accepting
from .stage import LISTENER_CHECKS, ListenerStage
