"""What asynchronous clients refuse. The arguments of the blocking ones are in test_blocking_arguments.py."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.clients.kinds import ASYNC_KINDS, Kind, wrong_protocols

EVERY_BACKEND = True

ADDRESSES: dict[str, Any] = {
    "tcp": ("127.0.0.1", 9),
    "udp": ("127.0.0.1", 9),
    "unix stream": "path",
    "unix datagram": "path",
}
ADDRESS_OPTIONS: dict[str, dict[str, Any]] = {
    "tcp": {"local_address": ("127.0.0.1", 0), "happy_eyeballs_delay": 1.0},
    "udp": {"local_address": ("127.0.0.1", 0), "family": socket.AF_INET},
    "unix stream": {"local_path": "x"},
    "unix datagram": {"local_path": "x"},
}

each_kind = pytest.mark.parametrize("name", ASYNC_KINDS)


def new_client(name: str, arg: Any = None, protocol: Any = None, **options: Any) -> Any:
    kind = ASYNC_KINDS[name]
    if arg is None:
        arg = ADDRESSES[name]
        if name == "unix datagram":  # where the system chooses no names, it has to have one
            options.setdefault("local_path", "x")
    return kind.cls(arg, kind.protocol() if protocol is None else protocol, **options)


@each_kind
async def test_wrong_protocol_is_refused(name: str) -> None:
    for protocol in wrong_protocols(ASYNC_KINDS[name]):
        with pytest.raises(TypeError):
            new_client(name, protocol=protocol)


@each_kind
async def test_first_argument_is_a_socket_or_an_address(name: str) -> None:
    address_of_another_family = ("host", 80) if "unix" in name else "host"
    for wrong in (None, 12, object(), ("h", 1, 2), ("h", "1"), (1, 1), (b"h", 1), address_of_another_family):
        with pytest.raises(TypeError):
            ASYNC_KINDS[name].cls(wrong, ASYNC_KINDS[name].protocol())


@pytest.mark.parametrize("name", ["unix stream", "unix datagram"])
@pytest.mark.parametrize("path", ["a\0b", b"a\0b", Path("a\0b")])
async def test_path_with_a_nul_is_refused(name: str, path: Any) -> None:
    for arg, local_path in ((path, "x"), ("path", path)):
        with pytest.raises(ValueError, match="NUL"):
            new_client(name, arg, local_path=local_path)


@pytest.mark.parametrize("name", ["tcp", "unix stream"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "1"])
async def test_max_recv_size_must_be_a_strictly_positive_integer(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match="max_recv_size"):
        new_client(name, max_recv_size=value)


@each_kind
async def test_wrong_backend_is_refused(name: str) -> None:
    with pytest.raises(TypeError):
        new_client(name, backend=12)
    with pytest.raises(NotImplementedError):
        new_client(name, backend="curio")


@each_kind
async def test_unknown_arguments_are_refused(name: str) -> None:
    unknown = "happy_eyeballs_delay" if "stream" in name else "unknown" if name == "tcp" else "max_recv_size"
    with pytest.raises(TypeError, match=unknown):
        new_client(name, **{unknown: 1})


@each_kind
async def test_arguments_of_an_address_are_refused_with_a_socket_which_the_caller_keeps(name: str) -> None:
    for option, value in [*ADDRESS_OPTIONS[name].items(), ("unknown", 1)]:
        ours, theirs = ASYNC_KINDS[name].sockets()
        with ours, theirs:
            with pytest.raises(TypeError, match=option):
                new_client(name, ours, **{option: value})
            assert ours.fileno() >= 0


@each_kind
async def test_socket_of_the_wrong_type_or_family_is_refused_and_closed(name: str) -> None:
    others: list[Kind] = [kind for other, kind in ASYNC_KINDS.items() if other != name]
    for other in others:
        ours, theirs = other.sockets()
        with theirs, pytest.raises(ValueError, match=r"SOCK_|family"):
            new_client(name, ours)
        assert ours.fileno() == -1


@each_kind
async def test_socket_that_is_not_connected_is_refused_and_closed(name: str) -> None:
    kind = ASYNC_KINDS[name]
    sock = socket.socket(kind.family, kind.type)
    with pytest.raises(OSError) as caught:
        new_client(name, sock)
    assert caught.value.errno == errno.ENOTCONN
    assert sock.fileno() == -1
