"""What is known about a socket that is gone."""

from __future__ import annotations

from typing import Any

import pytest

from easynetwork.exceptions import TypedAttributeLookupError
from easynetwork.lowlevel._sockets.attributes import socket_attributes
from easynetwork.lowlevel.socket import SocketAttribute


@pytest.mark.parametrize("attribute", [SocketAttribute.socket, SocketAttribute.family])
def test_a_transport_that_has_no_socket_any_more_says_so(attribute: Any) -> None:
    """As those of uvloop after they are closed. A server that drained in that moment did nothing."""
    no_socket: Any = lambda: None  # noqa: E731
    with pytest.raises(TypedAttributeLookupError, match="closed"):
        socket_attributes(no_socket)[attribute]()
