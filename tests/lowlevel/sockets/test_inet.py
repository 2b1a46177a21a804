"""Opening internet sockets."""

from __future__ import annotations

import errno
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from tests.support.descriptors import open_descriptors
from tests.support.sockets import udp_socket

from easynetwork.lowlevel._sockets.inet import (
    AddressInfo,
    check_inet_family,
    connect_datagram_socket,
    is_numeric_host,
    listener_hosts,
    numeric_addresses,
    open_listener_sockets,
)

TCP = (socket.SOCK_STREAM, socket.IPPROTO_TCP)
UDP = (socket.SOCK_DGRAM, socket.IPPROTO_UDP)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="how Linux behaves")


def info4(kind: tuple[int, int], host: str = "127.0.0.1", port: int = 0) -> AddressInfo:
    return (socket.AF_INET, *kind, "", (host, port))


def info6(kind: tuple[int, int], host: str = "::1", port: int = 0) -> AddressInfo:
    return (socket.AF_INET6, *kind, "", (host, port, 0, 0))


@contextmanager
def listening(addresses: Sequence[AddressInfo], **options: Any) -> Iterator[list[socket.socket]]:
    sockets = open_listener_sockets([addresses], **{"backlog": 5, "reuse_port": False, **options})
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


@pytest.fixture
def no_leak() -> Iterator[None]:
    """Fails if the test leaves a descriptor open."""
    before = open_descriptors()
    yield
    assert open_descriptors() <= before


# --- names


def test_numeric_hosts_are_resolved_at_once() -> None:
    assert numeric_addresses("127.0.0.1", 80, socket.SOCK_STREAM) == [info4(TCP, port=80)]
    assert numeric_addresses("::1", 80, socket.SOCK_DGRAM) == [info6(UDP, port=80)]


@pytest.mark.parametrize("host", ["localhost", "example.invalid", "300.1.1.1", "::1%nosuch"])
def test_other_hosts_are_not(host: str) -> None:
    assert numeric_addresses(host, 80, socket.SOCK_STREAM) is None


def test_all_interfaces_are_resolved_at_once() -> None:
    found = numeric_addresses(None, 80, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    assert found is not None
    assert {info[4][0] for info in found} == {"0.0.0.0", "::"}


@linux_only
def test_the_scope_of_an_address_is_kept() -> None:
    index = socket.if_nametoindex("lo")
    for scope in ("lo", str(index)):
        found = numeric_addresses(f"fe80::1%{scope}", 80, socket.SOCK_STREAM)
        assert found is not None
        assert [info[4] for info in found] == [("fe80::1", 80, 0, index)]


def test_a_family_narrows_the_addresses() -> None:
    assert numeric_addresses("127.0.0.1", 80, socket.SOCK_DGRAM, family=socket.AF_INET) == [info4(UDP, port=80)]
    with pytest.raises(socket.gaierror):
        numeric_addresses("::1", 80, socket.SOCK_DGRAM, family=socket.AF_INET)


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_a_port_that_does_not_exist_is_no_other_port(port: int) -> None:
    with pytest.raises(socket.gaierror) as exc_info:
        numeric_addresses("127.0.0.1", port, socket.SOCK_STREAM)
    assert exc_info.value.errno == socket.EAI_SERVICE


def test_families_other_than_those_of_the_internet_are_value_errors() -> None:
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC):
        check_inet_family(family)
    for other in (socket.AF_UNIX, 12345):
        with pytest.raises(ValueError):
            check_inet_family(other)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, [None]),
        ("", [None]),
        ("localhost", ["localhost"]),
        (["127.0.0.1", "::1"], ["127.0.0.1", "::1"]),
        (("127.0.0.1",), ["127.0.0.1"]),
    ],
)
def test_hosts_of_a_listener(host: Any, expected: list[str | None]) -> None:
    assert listener_hosts(host) == expected


@pytest.mark.parametrize("host", [["127.0.0.1", None], [b"127.0.0.1"], b"127.0.0.1", 5, {"127.0.0.1": 1}])
def test_bad_hosts_of_a_listener_are_type_errors(host: Any) -> None:
    with pytest.raises(TypeError):
        listener_hosts(host)


def test_no_host_at_all_is_nothing_to_listen_on(no_leak: None) -> None:
    assert listener_hosts([]) == []
    assert open_listener_sockets([], backlog=1, reuse_port=False) == []


# --- listeners


def test_each_address_gets_a_socket_that_listens_and_does_not_block(no_leak: None) -> None:
    with listening([info6(TCP), info4(TCP)]) as sockets:
        assert [sock.family for sock in sockets] == [socket.AF_INET, socket.AF_INET6]
        for sock in sockets:
            assert not sock.getblocking()
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            socket.create_connection(sock.getsockname()[:2]).close()


def test_an_address_given_twice_gets_one_socket() -> None:
    with listening([info4(TCP), info4(TCP)]) as sockets:
        assert len(sockets) == 1


def test_both_families_can_have_the_same_port() -> None:
    with listening([info4(TCP, "0.0.0.0")]) as [sock]:
        port = sock.getsockname()[1]
        with listening([info6(TCP, "::", port)]) as [sock]:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            assert sock.getsockname()[1] == port


def test_tcp_addresses_can_be_used_again_at_once_and_udp_ones_not_shared() -> None:
    with listening([info4(TCP)]) as [sock]:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    with listening([info4(UDP)], backlog=None) as [sock]:
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert not sock.getblocking()


@linux_only
def test_a_scope_is_honoured(no_leak: None) -> None:
    with open("/proc/net/if_inet6") as table:
        link_local = [line.split() for line in table if line.startswith("fe80")]
    if not link_local:
        pytest.skip("no link-local address here")
    digits, *_, interface = link_local[0]
    host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
    addresses = numeric_addresses(f"{host}%{interface}", 0, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    assert addresses is not None
    with listening(addresses) as [sock]:
        assert sock.getsockname()[3] == socket.if_nametoindex(interface)


def test_every_failed_bind_is_reported_and_nothing_stays_open(no_leak: None) -> None:
    with listening([info4(TCP)]) as [taken]:
        port = taken.getsockname()[1]
        addresses = [info4(TCP), info4(TCP, port=port), info4(TCP, "198.51.100.1")]
        with pytest.raises(ExceptionGroup) as exc_info:
            open_listener_sockets([[info] for info in addresses], backlog=5, reuse_port=False)
        codes = {exc.errno for exc in exc_info.value.exceptions if isinstance(exc, OSError)}
        assert codes == {errno.EADDRINUSE, errno.EADDRNOTAVAIL}
        assert any(str(port) in str(exc) for exc in exc_info.value.exceptions)


NO_SUCH_SOCKET: AddressInfo = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP, "", ("127.0.0.1", 0))


def codes_of(group: ExceptionGroup[Exception]) -> list[int | None]:
    return [exc.errno for exc in group.exceptions if isinstance(exc, OSError)]


@pytest.mark.parametrize(
    ("missing", "code"),
    [
        pytest.param(info4(TCP, "198.51.100.1"), errno.EADDRNOTAVAIL, id="no such address"),
        pytest.param(NO_SUCH_SOCKET, errno.EPROTONOSUPPORT, id="no such socket"),
    ],
)
def test_an_address_that_does_not_exist_is_skipped_if_its_host_has_another_one(
    missing: AddressInfo, code: int, no_leak: None
) -> None:
    with listening([missing, info4(TCP)]) as sockets:
        assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1"]
    for hosts in ([[missing]], [[missing], [info4(TCP)]], [[missing, missing], [missing, info4(TCP)]]):
        with pytest.raises(ExceptionGroup) as exc_info:
            open_listener_sockets(hosts, backlog=5, reuse_port=False)
        assert codes_of(exc_info.value) == [code]
        assert missing[4][0] in str(exc_info.value.exceptions[0])


def test_ipv6_is_skipped_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch, no_leak: None) -> None:
    class SocketWithoutIPv6(socket.socket):
        def __init__(self, family: int = -1, *args: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *args)

    monkeypatch.setattr(socket, "socket", SocketWithoutIPv6)
    wildcards = numeric_addresses(None, 0, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for addresses in (wildcards, [info4(TCP), info6(TCP)]):
        assert addresses is not None
        with listening(addresses) as [sock]:
            assert sock.family == socket.AF_INET
    with pytest.raises(ExceptionGroup) as exc_info:
        open_listener_sockets([[info4(TCP)], [info6(TCP)]], backlog=5, reuse_port=False)
    assert codes_of(exc_info.value) == [errno.EAFNOSUPPORT]


def test_an_address_in_use_is_never_skipped(no_leak: None) -> None:
    with listening([info4(TCP)]) as [taken]:
        port = taken.getsockname()[1]
        with pytest.raises(ExceptionGroup) as exc_info:
            open_listener_sockets([[info4(TCP, port=port), info6(TCP)]], backlog=5, reuse_port=False)
    assert codes_of(exc_info.value) == [errno.EADDRINUSE]


def test_a_shortage_of_descriptors_is_an_error_and_skips_nothing(no_leak: None) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest_free:
        limit = lowest_free.fileno() + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        with pytest.raises(OSError) as exc_info:
            open_listener_sockets([[info4(TCP), info6(TCP)]], backlog=5, reuse_port=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert exc_info.value.errno == errno.EMFILE


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="no SO_REUSEPORT here")
@pytest.mark.parametrize(("kind", "backlog"), [(TCP, 5), (UDP, None)])
def test_a_port_can_be_shared_if_wanted(kind: tuple[int, int], backlog: int | None) -> None:
    with listening([info4(kind)], backlog=backlog, reuse_port=True) as [first]:
        address = info4(kind, port=first.getsockname()[1])
        with listening([address], backlog=backlog, reuse_port=True) as [second]:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(ExceptionGroup):
            open_listener_sockets([[address]], backlog=backlog, reuse_port=False)


def test_sharing_where_it_does_not_exist_is_a_value_error(monkeypatch: pytest.MonkeyPatch, no_leak: None) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    with pytest.raises(ValueError):
        open_listener_sockets([[info4(TCP), info6(TCP)]], backlog=5, reuse_port=True)


# --- datagram sockets with a peer


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with udp_socket() as sock:
        yield sock


def test_a_datagram_socket_talks_to_its_peer(peer: socket.socket) -> None:
    with connect_datagram_socket([info4(UDP, *peer.getsockname())], None) as sock:
        assert not sock.getblocking()
        assert sock.getpeername() == peer.getsockname()
        sock.send(b"hello")
        assert peer.recvfrom(10) == (b"hello", sock.getsockname())


def test_the_next_address_is_tried_if_one_cannot_be_connected_to(peer: socket.socket, no_leak: None) -> None:
    broadcast = info4(UDP, "255.255.255.255", 9)  # EACCES without SO_BROADCAST
    no_such_socket: AddressInfo = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 9))
    with connect_datagram_socket([broadcast, no_such_socket, info4(UDP, *peer.getsockname())], None) as sock:
        assert sock.getpeername() == peer.getsockname()


def test_if_no_address_can_be_connected_to_each_has_its_error(no_leak: None) -> None:
    broadcast = info4(UDP, "255.255.255.255", 9)
    no_such_socket: AddressInfo = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 9))
    with pytest.raises(ExceptionGroup) as exc_info:
        connect_datagram_socket([broadcast, no_such_socket], None)
    first, second = exc_info.value.exceptions
    assert isinstance(first, PermissionError)
    assert isinstance(second, OSError)
    assert second.errno == errno.EPROTONOSUPPORT


def test_a_datagram_socket_is_bound_to_a_local_address(peer: socket.socket) -> None:
    local = [info6(UDP), info4(UDP, "198.51.100.1"), info4(UDP, "127.0.0.1")]
    with connect_datagram_socket([info4(UDP, *peer.getsockname())], local) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"


def test_each_local_address_that_cannot_be_bound_has_its_error(peer: socket.socket, no_leak: None) -> None:
    local = [info4(UDP, "198.51.100.1"), info4(UDP, "198.51.100.2")]
    with pytest.raises(ExceptionGroup) as exc_info:
        connect_datagram_socket([info4(UDP, *peer.getsockname())], local)
    assert len(exc_info.value.exceptions) == 2
    for exc, host in zip(exc_info.value.exceptions, ("198.51.100.1", "198.51.100.2"), strict=True):
        assert isinstance(exc, OSError)
        assert exc.errno == errno.EADDRNOTAVAIL
        assert host in str(exc)


def test_a_local_address_of_another_family_is_no_local_address(peer: socket.socket, no_leak: None) -> None:
    with pytest.raises(ExceptionGroup) as exc_info:
        connect_datagram_socket([info4(UDP, *peer.getsockname())], [info6(UDP)])
    [exc] = exc_info.value.exceptions
    assert isinstance(exc, OSError)


def test_an_address_of_the_wrong_shape_leaves_no_socket_open(no_leak: None) -> None:
    with suppress(TypeError):
        connect_datagram_socket([(socket.AF_INET, *UDP, "", 5)], None)
        pytest.fail("a number is no address")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "fe80::1"])
def test_a_numeric_host_is_recognised(host: str) -> None:
    assert is_numeric_host(host)


@pytest.mark.parametrize("host", ["localhost", "name.invalid", "1.2.3.4.example", "fe80::1%1"])
def test_a_name_is_not_numeric(host: str) -> None:
    assert not is_numeric_host(host)
