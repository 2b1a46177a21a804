"""The checks of everything that is served. Importing this package fills `SERVING_CHECKS`."""

from __future__ import annotations

__all__ = ["SERVING_CHECKS", "Handler", "ServingStage"]

from . import ending as ending
from . import starting as starting
from .stage import SERVING_CHECKS, Handler, ServingStage
