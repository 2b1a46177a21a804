"""Addresses, attributes and options of sockets."""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from easynetwork.lowlevel.socket import (
    INETSocketAttribute,
    IPv4SocketAddress,
    IPv6SocketAddress,
    ISocket,
    SocketAttribute,
    SocketProxy,
    SupportsSocketOptions,
    TLSAttribute,
    UNIXSocketAttribute,
    disable_socket_linger,
    enable_socket_linger,
    get_socket_linger,
    get_socket_linger_struct,
    new_socket_address,
    set_tcp_keepalive,
    set_tcp_nodelay,
)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        yield sock


# --- addresses


def test_addresses_are_equal_to_what_the_socket_module_gives() -> None:
    assert new_socket_address(("127.0.0.1", 80), socket.AF_INET) == IPv4SocketAddress("127.0.0.1", 80)
    assert IPv4SocketAddress("127.0.0.1", 80) == ("127.0.0.1", 80)
    assert new_socket_address(("::1", 80), socket.AF_INET6) == ("::1", 80, 0, 0)
    assert new_socket_address(("::1", 80, 1), socket.AF_INET6) == ("::1", 80, 1, 0)
    assert new_socket_address(("::1", 80, 1, 2), socket.AF_INET6) == IPv6SocketAddress("::1", 80, 1, 2)


def test_addresses_show_host_scope_and_port_only() -> None:
    assert str(IPv4SocketAddress("127.0.0.1", 80)) == "('127.0.0.1', 80)"
    assert str(IPv6SocketAddress("::1", 80, 1)) == "('::1', 80)"
    assert str(IPv6SocketAddress("fe80::1", 1234, 0, 2)) == "('fe80::1%2', 1234)"
    assert str(IPv6SocketAddress("fe80::1%2", 1234, 0, 2)) == "('fe80::1%2', 1234)"


def test_a_client_gets_host_and_port_and_the_scope_of_a_link_local_address() -> None:
    assert IPv4SocketAddress("127.0.0.1", 80).for_connection() == ("127.0.0.1", 80)
    assert IPv6SocketAddress("::1", 80, 1, 2).for_connection() == ("::1", 80)
    assert IPv6SocketAddress("fe80::1", 80, 1, 2).for_connection() == ("fe80::1%2", 80)


@pytest.mark.parametrize(
    ("address", "family"),
    [
        (("127.0.0.1",), socket.AF_INET),
        (("127.0.0.1", 80, 0), socket.AF_INET),
        (("::1",), socket.AF_INET6),
        (("::1", 80, 0, 0, 0), socket.AF_INET6),
    ],
)
def test_a_wrong_number_of_items_is_a_type_error(address: tuple[Any, ...], family: int) -> None:
    with pytest.raises(TypeError):
        new_socket_address(address, family)


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_UNSPEC, 12345])
def test_another_family_is_a_value_error(family: int) -> None:
    with pytest.raises(ValueError):
        new_socket_address(("127.0.0.1", 80), family)


# --- options


def test_a_plain_socket_satisfies_the_interfaces(sock: socket.socket) -> None:
    assert isinstance(sock, ISocket)
    assert isinstance(sock, SupportsSocketOptions)
    assert not isinstance(object(), SupportsSocketOptions)


@pytest.mark.parametrize("state", [True, False])
def test_options_are_set(sock: socket.socket, state: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    set_tcp_nodelay(sock, state)
    set_tcp_keepalive(sock, state)
    assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is state
    assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is state


def test_options_that_do_not_exist_are_skipped(sock: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_NODELAY")
    monkeypatch.delattr(socket, "SO_KEEPALIVE")
    sock.close()
    set_tcp_nodelay(sock, True)
    set_tcp_keepalive(sock, True)


def test_the_linger_option_is_set_and_read(sock: socket.socket) -> None:
    assert get_socket_linger(sock) == (False, 0)
    enable_socket_linger(sock, 7)
    assert get_socket_linger(sock) == (True, 7)
    size = get_socket_linger_struct().size
    assert len(sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, size)) == size
    disable_socket_linger(sock)
    assert not get_socket_linger(sock).enabled  # Linux goes on telling the delay that is not used any more


def test_oserrors_pass_through(sock: socket.socket) -> None:
    sock.close()
    calls: list[Callable[[], object]] = [
        lambda: set_tcp_nodelay(sock, True),
        lambda: set_tcp_keepalive(sock, True),
        lambda: enable_socket_linger(sock, 1),
        lambda: disable_socket_linger(sock),
        lambda: get_socket_linger(sock),
    ]
    for call in calls:
        with pytest.raises(OSError):
            call()


def test_the_linger_structure_is_two_ints() -> None:
    assert get_socket_linger_struct().pack(1, 7) == struct.pack("@ii", 1, 7)


# --- keys


@pytest.mark.parametrize("keys", [INETSocketAttribute, UNIXSocketAttribute])
def test_the_keys_of_a_family_are_the_same_objects(keys: type[SocketAttribute]) -> None:
    for name in ("socket", "family", "sockname", "peername"):
        assert getattr(keys, name) is getattr(SocketAttribute, name)


def test_tls_keys_are_named_as_the_methods_of_an_ssl_socket() -> None:
    names = ["sslcontext", "peercert", "cipher", "compression", "tls_version", "alpn_protocol", "server_name"]
    names += ["standard_compatible"]
    assert len({getattr(TLSAttribute, name) for name in names}) == len(names)


def test_the_names_of_unix_sockets_exist_only_where_such_sockets_do() -> None:
    program = """if True:
        import socket
        del socket.AF_UNIX
        import easynetwork.lowlevel.socket as module
        assert "SocketProxy" in module.__all__
        assert [name for name in module.__all__ if not hasattr(module, name)] == []
        print(*[name for name in dir(module) if "unix" in name.lower() or "SCM" in name or "Ancillary" in name])
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("\n", "")


# --- the proxy


CALLS: list[Callable[[Any], object]] = [
    lambda sock: sock.fileno(),
    lambda sock: sock.get_inheritable(),
    lambda sock: sock.getsockname(),
    lambda sock: sock.getpeername(),
    lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 4),
    lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, b"\1\0\0\0"),
]


@contextlib.contextmanager
def connected() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as sock:
            yield sock


def test_a_proxy_gives_what_the_socket_gives_and_no_more() -> None:
    with connected() as sock:
        proxy = SocketProxy(sock)
        assert isinstance(proxy, ISocket)
        for call in CALLS:
            assert call(proxy) == call(sock)
        assert proxy.family is socket.AF_INET
        assert proxy.type is socket.SOCK_STREAM
        assert proxy.proto == sock.proto
        names = ("close", "send", "recv", "detach", "shutdown", "sendall", "makefile", "dup", "bind", "__dict__")
        assert not any(hasattr(proxy, name) for name in names)


def test_a_proxy_passes_every_form_of_setsockopt() -> None:
    received: list[tuple[object, ...]] = []

    class Recorder:
        def setsockopt(self, *args: object) -> None:
            received.append(args)

    sock: Any = Recorder()
    SocketProxy(sock).setsockopt(1, 2, None, 8)
    SocketProxy(sock).setsockopt(1, 2, b"value")
    assert received == [(1, 2, None, 8), (1, 2, b"value")]


def test_a_proxy_has_the_interface_and_nothing_else(sock: socket.socket) -> None:
    public = {name for name in dir(SocketProxy(sock)) if not name.startswith("_")}
    assert public == {name for name in dir(ISocket) if not name.startswith("_")}


def test_errors_pass_through_the_proxy_and_release_the_lock(sock: socket.socket) -> None:
    lock = threading.Lock()
    proxy = SocketProxy(sock, lock=lambda: lock)
    with pytest.raises(OSError):
        proxy.getpeername()  # not connected
    assert not lock.locked()


@pytest.mark.parametrize("with_lock", [True, False])
@pytest.mark.parametrize("with_runner", [True, False])
def test_calls_go_through_the_runner_while_the_lock_is_held(with_lock: bool, with_runner: bool) -> None:
    lock = threading.Lock()
    locks: list[object] = []
    runs: list[bool] = []

    def new_lock() -> threading.Lock:
        locks.append(lock)
        return lock

    def runner(call: Callable[[], Any]) -> Any:
        runs.append(lock.locked())
        return call()

    with connected() as sock:
        proxy = SocketProxy(sock, lock=new_lock if with_lock else None, runner=runner if with_runner else None)
        for call in CALLS:
            assert call(proxy) == call(sock)
        assert len(locks) == (len(CALLS) if with_lock else 0)
        assert runs == ([with_lock] * len(CALLS) if with_runner else [])
        _ = proxy.family, proxy.type, proxy.proto
        assert len(locks) == (len(CALLS) if with_lock else 0)
        assert not lock.locked()


def test_a_runner_sees_the_arguments_of_socket_options(sock: socket.socket) -> None:
    calls: list[Any] = []

    def run(call: Any) -> Any:
        calls.append(call)
        return call()

    proxy = SocketProxy(sock, runner=run)
    proxy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert proxy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert [(type(call), call.func.__name__, call.args) for call in calls] == [
        (functools.partial, "setsockopt", (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)),
        (functools.partial, "getsockopt", (socket.SOL_SOCKET, socket.SO_KEEPALIVE)),
    ]


def test_unknown_families_stay_numbers() -> None:
    class Odd:
        family, type, proto = 12345, 678, 9

        def fileno(self) -> int:
            return -1

    odd: Any = Odd()
    proxy = SocketProxy(odd)
    assert (proxy.family, proxy.type, proxy.proto) == (12345, 678, 9)


def test_the_repr_works_open_and_closed() -> None:
    with connected() as sock:
        proxy = SocketProxy(sock)
        text = repr(proxy)
        assert f"fd={sock.fileno()}" in text
        assert str(sock.getsockname()) in text
        assert str(sock.getpeername()) in text
    text = repr(proxy)
    assert "fd=-1" in text
    assert "AF_INET" in text or "family=2" in text


def test_the_repr_leaves_out_the_address_of_a_peer_that_is_not_there(sock: socket.socket) -> None:
    text = repr(SocketProxy(sock))
    assert str(sock.getsockname()) in text
    assert "raddr" not in text


def test_a_proxy_cannot_be_subclassed() -> None:
    with pytest.raises(TypeError):
        type("Sub", (SocketProxy,), {})
