"""What the tests of decoders share."""

from __future__ import annotations

import pytest
from tests.support.framing_cases import BufferedProtocolByGenerators, ProtocolByGenerators, ProtocolType

from easynetwork.protocol import BufferedStreamProtocol, StreamProtocol


@pytest.fixture(
    params=[StreamProtocol, BufferedStreamProtocol, ProtocolByGenerators, BufferedProtocolByGenerators],
    ids=["chunks", "buffered", "chunks by generators", "buffered by generators"],
)
def protocol_type(request: pytest.FixtureRequest) -> ProtocolType:
    """Each way in which a decoder gets its bytes and its frames."""
    kind: ProtocolType = request.param
    return kind
