"""Connecting blocking clients of TCP and UDP: local addresses, and names that do not exist."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from tests.clients.kinds import Kind, inet_kinds
from tests.support.descriptors import open_descriptors


@inet_kinds
def test_local_address_is_bound_to(kind: Kind) -> None:
    with kind.address() as (address, _):
        with kind.cls(address, kind.protocol(), local_address=("127.0.0.2", 0)) as client:
            assert client.get_local_address().host == "127.0.0.2"


@inet_kinds
def test_local_address_that_cannot_be_bound_to_is_in_the_group(kind: Kind) -> None:
    before = open_descriptors()
    with kind.address() as (address, _), pytest.raises(ExceptionGroup) as caught:
        kind.cls(address, kind.protocol(), local_address=("192.0.2.1", 0))
    [error] = caught.value.exceptions
    assert isinstance(error, OSError)
    assert error.errno == errno.EADDRNOTAVAIL
    assert "192.0.2.1" in str(error)
    assert open_descriptors() == before


@inet_kinds
@pytest.mark.parametrize("option", [{}, {"local_address": ("host.invalid", 0)}])
def test_unknown_host_is_a_gaierror(kind: Kind, option: dict[str, Any]) -> None:
    with pytest.raises(socket.gaierror):
        kind.cls(("127.0.0.1" if option else "host.invalid", 9), kind.protocol(), **option)
