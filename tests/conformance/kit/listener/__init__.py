"""The checks of stream listeners. Importing this package fills `LISTENER_CHECKS`."""

from __future__ import annotations

__all__ = ["LISTENER_CHECKS", "ListenerStage", "listener_stage"]

from . import accepting as accepting
from . import attributes as attributes
from . import serving as serving
from .stage import LISTENER_CHECKS, ListenerStage, listener_stage
