"""What a listener tells about itself, and what happens to a forgotten one."""

from __future__ import annotations

__all__: list[str] = []

import gc
import socket
import warnings
import weakref

import pytest
from tests.conformance.kit.checks import Feature
from tests.conformance.kit.listener.stage import LISTENER_CHECKS, ListenerStage

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.socket import ISocket, SocketAttribute


@LISTENER_CHECKS()
async def the_backend_is_the_one_it_was_made_by(stage: ListenerStage) -> None:
    assert stage.listener.backend() is stage.backend
    await stage.listener.aclose()
    assert stage.listener.backend() is stage.backend


@LISTENER_CHECKS()
async def it_can_be_shown_in_any_state(stage: ListenerStage) -> None:
    assert repr(stage.listener)
    async with stage.serving(stage.echo):
        assert repr(stage.listener)
    await stage.listener.aclose()
    assert repr(stage.listener)


@LISTENER_CHECKS(needs=Feature.SOCKET)
async def the_attributes_are_those_of_its_socket(stage: ListenerStage) -> None:
    sock = stage.listener.extra(SocketAttribute.socket)
    assert isinstance(sock, ISocket)
    assert not any(hasattr(sock, name) for name in ("close", "detach", "accept"))
    assert sock.fileno() >= 0
    peer = stage.connect().peer.socket
    assert peer is not None
    assert stage.listener.extra(SocketAttribute.family) is socket.AddressFamily(peer.family)
    assert stage.listener.extra(SocketAttribute.sockname) == peer.getpeername()
    with pytest.raises(TypedAttributeLookupError):
        stage.listener.extra(SocketAttribute.peername)
    await stage.listener.aclose()
    with pytest.raises(TypedAttributeLookupError):
        stage.listener.extra(SocketAttribute.sockname)


@LISTENER_CHECKS()
async def a_listener_dropped_while_open_warns_and_is_closed(stage: ListenerStage) -> None:
    alive = weakref.ref(stage.listener)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stage.drop_listener()
        gc.collect()
        categories = {warning.category for warning in caught}
        caught.clear()  # a warning keeps its source alive, and what that is made of, which warns as well
        gc.collect()
        caught.clear()
    assert ResourceWarning in categories
    assert alive() is None
    with pytest.raises(OSError):
        stage.connect()


@LISTENER_CHECKS()
async def a_closed_listener_is_dropped_in_silence(stage: ListenerStage) -> None:
    async with stage.serving(stage.echo):
        await stage.assert_works()
    await stage.listener.aclose()
    alive = weakref.ref(stage.listener)
    stage.drop_listener()
    gc.collect()
    assert alive() is None
