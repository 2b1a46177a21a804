"""What a stream tells about itself."""

from __future__ import annotations

__all__: list[str] = []

from tests.conformance.kit.checks import Feature
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, StreamStage

from easynetwork.lowlevel.socket import SocketAttribute


@EXCHANGE_CHECKS(needs=Feature.SOCKET)
async def the_name_of_the_peer_is_known(stage: StreamStage) -> None:
    assert stage.transport.extra(SocketAttribute.peername) == stage.far_socket().getsockname()
