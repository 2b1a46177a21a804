"""The checks of byte streams. Importing this package fills `EXCHANGE_CHECKS` and `STREAM_CHECKS`."""

from __future__ import annotations

__all__ = ["EXCHANGE_CHECKS", "STREAM_CHECKS", "StreamStage"]

from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage

from . import ancillary as ancillary
from . import attributes as attributes
from . import cancelling as cancelling
from . import closing as closing
from . import receiving as receiving
from . import sending as sending
from . import sharing as sharing
from . import tls as tls
