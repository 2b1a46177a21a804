"""What all transports and listeners have in common: closing, attributes, and what happens to forgotten ones."""

from __future__ import annotations

__all__ = ["ASYNC_CHECKS", "COMMON_CHECKS"]

import errno
import gc
import socket
import warnings
import weakref
from typing import Any, TypeAlias

import pytest

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel.socket import ISocket, SocketAttribute
from easynetwork.lowlevel.typed_attr import TypedAttributeSet, typed_attribute

from .checks import Checks, Feature
from .stage import Stage

AnyStage: TypeAlias = Stage[Any]

COMMON_CHECKS: Checks[Any] = Checks()
"""Of everything, blocking transports too."""

ASYNC_CHECKS: Checks[Any] = Checks(COMMON_CHECKS)
"""Of everything asynchronous."""


class Unheard(TypedAttributeSet):
    of: int = typed_attribute()


# --- closing


@COMMON_CHECKS()
async def closing_again_is_harmless(stage: AnyStage) -> None:
    stage.hang_up()
    assert not stage.subject.is_closing()
    for _ in range(3):
        await stage.subject.aclose()
        assert stage.subject.is_closing()


@COMMON_CHECKS()
async def leaving_the_context_closes(stage: AnyStage) -> None:
    stage.hang_up()
    async with stage.subject as subject:
        assert subject is stage.subject
        assert not subject.is_closing()
    assert stage.subject.is_closing()


@ASYNC_CHECKS()
async def many_may_close_at_once(stage: AnyStage) -> None:
    async with stage.backend.create_task_group() as group:
        for _ in range(4):
            group.start_soon(stage.subject.aclose)
        await stage.settle()
        stage.hang_up()
    assert stage.subject.is_closing()


@ASYNC_CHECKS()
async def a_cancelled_close_closes(stage: AnyStage) -> None:
    for delay in (0, 0.0005):
        with stage.backend.move_on_after(delay):
            await stage.subject.aclose()
        assert stage.subject.is_closing()
        await stage.subject.aclose()
        await stage.assert_gone()
        await stage.reopen()


# --- attributes


@ASYNC_CHECKS()
async def the_backend_is_the_one_it_was_made_by(stage: AnyStage) -> None:
    assert stage.subject.backend() is stage.backend
    stage.hang_up()
    await stage.subject.aclose()
    assert stage.subject.backend() is stage.backend


@COMMON_CHECKS()
async def an_unknown_attribute_is_a_lookup_error(stage: AnyStage) -> None:
    with pytest.raises(TypedAttributeLookupError):
        stage.subject.extra(Unheard.of)
    assert stage.subject.extra(Unheard.of, None) is None


@COMMON_CHECKS()
async def it_can_be_shown_in_any_state(stage: AnyStage) -> None:
    assert repr(stage.subject)
    stage.hang_up()
    await stage.subject.aclose()
    assert repr(stage.subject)


@COMMON_CHECKS(needs=Feature.SOCKET)
async def the_attributes_are_those_of_its_socket(stage: AnyStage) -> None:
    far = stage.far_socket()
    sock = stage.subject.extra(SocketAttribute.socket)
    assert isinstance(sock, ISocket)
    assert not any(hasattr(sock, name) for name in ("close", "detach", "send", "recv", "accept"))
    assert sock.fileno() >= 0
    assert sock.type == far.type
    assert stage.subject.extra(SocketAttribute.family) is socket.AddressFamily(far.family)
    assert stage.subject.extra(SocketAttribute.sockname) == far.getpeername()


@COMMON_CHECKS(needs=Feature.SOCKET)
async def socket_options_can_be_set(stage: AnyStage) -> None:
    sock = stage.subject.extra(SocketAttribute.socket)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@COMMON_CHECKS(needs=Feature.SOCKET)
async def what_is_closed_has_no_addresses(stage: AnyStage) -> None:
    stage.hang_up()
    await stage.subject.aclose()
    for key in (SocketAttribute.sockname, SocketAttribute.peername):
        with pytest.raises(TypedAttributeLookupError) as info:
            stage.subject.extra(key)
        assert isinstance(info.value.__cause__, OSError)
        assert info.value.__cause__.errno == errno.EBADF


# --- forgotten


@COMMON_CHECKS()
async def what_is_dropped_while_open_warns_and_is_closed(stage: AnyStage) -> None:
    alive = weakref.ref(stage.subject)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stage.drop()
        gc.collect()
        unclosed = [str(item.message) for item in caught if item.category is ResourceWarning]
        caught.clear()  # a warning keeps its source alive, and what that is made of, which warns as well
        gc.collect()
        caught.clear()
    assert any(message.startswith("unclosed") for message in unclosed)
    assert alive() is None
    await stage.assert_gone()


@COMMON_CHECKS()
async def what_is_closed_is_dropped_in_silence(stage: AnyStage) -> None:
    stage.hang_up()
    await stage.subject.aclose()
    alive = weakref.ref(stage.subject)
    stage.drop()
    gc.collect()
    assert alive() is None
