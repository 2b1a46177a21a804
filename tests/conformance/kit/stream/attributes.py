"""What a stream tells about itself."""

from __future__ import annotations

__all__: list[str] = []

import socket

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.stream.stage import EXCHANGE_CHECKS, STREAM_CHECKS, StreamStage

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.socket import ISocket, SocketAttribute
from easynetwork.lowlevel.typed_attr import TypedAttributeSet, typed_attribute


class Unheard(TypedAttributeSet):
    of: int = typed_attribute()


@STREAM_CHECKS()
async def the_backend_is_the_one_it_was_made_by(stage: StreamStage) -> None:
    assert stage.transport.backend() is stage.backend
    stage.peer.peer.close()
    await stage.transport.aclose()
    assert stage.transport.backend() is stage.backend


@EXCHANGE_CHECKS()
async def an_unknown_attribute_is_a_lookup_error(stage: StreamStage) -> None:
    with pytest.raises(TypedAttributeLookupError):
        stage.transport.extra(Unheard.of)
    assert stage.transport.extra(Unheard.of, None) is None


@EXCHANGE_CHECKS()
async def it_can_be_shown_in_any_state(stage: StreamStage) -> None:
    assert repr(stage.transport)
    stage.peer.peer.close()
    await stage.transport.aclose()
    assert repr(stage.transport)


@EXCHANGE_CHECKS(needs=Feature.SOCKET)
async def the_attributes_are_those_of_its_socket(stage: StreamStage) -> None:
    peer = stage.peer.peer.socket
    assert peer is not None
    sock = stage.transport.extra(SocketAttribute.socket)
    assert isinstance(sock, ISocket)
    assert not any(hasattr(sock, name) for name in ("close", "detach", "send", "recv"))
    assert sock.fileno() >= 0
    assert sock.type == socket.SOCK_STREAM
    assert stage.transport.extra(SocketAttribute.family) is socket.AddressFamily(peer.family)
    assert stage.transport.extra(SocketAttribute.sockname) == peer.getpeername()
    assert stage.transport.extra(SocketAttribute.peername) == peer.getsockname()


@EXCHANGE_CHECKS(needs=Feature.SOCKET)
async def socket_options_can_be_set(stage: StreamStage) -> None:
    sock = stage.transport.extra(SocketAttribute.socket)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@EXCHANGE_CHECKS(needs=Feature.SOCKET)
async def a_closed_transport_has_no_addresses(stage: StreamStage) -> None:
    stage.peer.peer.close()
    await stage.transport.aclose()
    for key in (SocketAttribute.sockname, SocketAttribute.peername):
        with pytest.raises(TypedAttributeLookupError) as info:
            stage.transport.extra(key)
        assert isinstance(info.value.__cause__, OSError)
