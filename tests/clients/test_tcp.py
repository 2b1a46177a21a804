"""Connecting the blocking TCP client; what it does then, it shares with others (``test_blocking_*.py``)."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from tests.clients.kinds import KINDS
from tests.support.blocking import PATIENCE, InThread
from tests.support.certificates import Certificates
from tests.support.descriptors import open_descriptors
from tests.support.lines import line_protocol
from tests.support.sockets import unused_address

from easynetwork.clients import TCPNetworkClient
from easynetwork.lowlevel.socket import IPv4SocketAddress, IPv6SocketAddress

TCP = KINDS["tcp"]
Client = TCPNetworkClient[str, str]


def new_client(arg: Any, **options: Any) -> Client:
    return TCPNetworkClient(arg, line_protocol(), **options)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Let the name ``host.example`` stand for *addresses*."""
    getaddrinfo = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "host.example":
            return getaddrinfo(host, *args, **kwargs)
        if len(args) > 4:  # the flags ask for a number
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_it_is_connected_at_once_and_gets_its_options() -> None:
    with TCP.address() as (address, listener), new_client(address) as client:
        peer, peer_address = listener.accept()
        with peer:
            assert client.get_local_address() == peer_address
            assert client.get_remote_address() == address
            assert isinstance(client.get_local_address(), IPv4SocketAddress)
            assert client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            client.send_packet("hello")
            assert peer.recv(100) == b"hello\n"
        client.close()


def test_adopted_socket_gets_its_options() -> None:
    with TCP.pair() as (client, _):
        assert client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_addresses_may_be_of_ipv6() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("needs IPv6 on the loopback interface")
    with listener, new_client(listener.getsockname()[:2]) as client:
        assert isinstance(client.get_remote_address(), IPv6SocketAddress)
        assert client.get_remote_address() == listener.getsockname()


def test_refused_connection_is_a_group() -> None:
    before = open_descriptors()
    with pytest.raises(ExceptionGroup) as caught:
        new_client(unused_address())
    assert [type(exc) for exc in caught.value.exceptions] == [ConnectionRefusedError]
    gc.collect()
    assert open_descriptors() == before


def test_all_addresses_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with TCP.address() as (address, _):
        resolve_to(monkeypatch, unused_address(), unused_address(), address)
        with new_client(("host.example", 1)) as client:
            assert client.get_remote_address() == address
    before = open_descriptors()
    resolve_to(monkeypatch, unused_address(), unused_address())
    with pytest.raises(ExceptionGroup) as caught:
        new_client(("host.example", 1))
    assert [type(exc) for exc in caught.value.exceptions] == [ConnectionRefusedError] * 2
    assert open_descriptors() == before


def test_port_out_of_range_is_a_gaierror() -> None:
    with pytest.raises(socket.gaierror):
        new_client(("127.0.0.1", 1 << 16))


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that does not answer."""
    with TCP.address() as (address, listener), contextlib.ExitStack() as stack:
        listener.listen(0)
        for _ in range(8):  # one of them fills the backlog
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(address)
        yield address


def test_connecting_has_a_time_limit_for_all_addresses(
    monkeypatch: pytest.MonkeyPatch, silent: tuple[str, int]
) -> None:
    before = open_descriptors()
    resolve_to(monkeypatch, silent, silent)
    with pytest.raises(ExceptionGroup) as caught:
        new_client(("host.example", 1), connect_timeout=0.05)
    assert [(type(exc), getattr(exc, "errno", None)) for exc in caught.value.exceptions] == [
        (TimeoutError, errno.ETIMEDOUT)
    ] * 2
    assert open_descriptors() == before


def test_address_that_does_not_answer_leaves_time_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch, silent: tuple[str, int]
) -> None:
    with TCP.address() as (address, _):
        resolve_to(monkeypatch, silent, address)
        with new_client(("host.example", 1), connect_timeout=0.2) as client:
            assert client.get_remote_address() == address


@pytest.mark.parametrize("timeout", [5, 1e9, float("inf"), None])
def test_time_limit_may_be_anything(timeout: float | None) -> None:
    with TCP.address() as (address, _), new_client(address, connect_timeout=timeout) as client:
        assert client.fileno() >= 0


def test_tls_socket_is_refused_and_closed(certificates: Certificates) -> None:
    ours, theirs = TCP.sockets()
    sock = certificates.client_context().wrap_socket(ours, do_handshake_on_connect=False, server_hostname="x")
    with theirs, pytest.raises(TypeError):
        new_client(sock)
    assert sock.fileno() == -1


@pytest.mark.parametrize("ssl_argument", [{}, {"ssl": None}, {"ssl": False}])
@pytest.mark.parametrize(
    "option",
    [
        {"server_hostname": "x"},
        {"server_hostname": ""},
        {"ssl_handshake_timeout": 0},
        {"ssl_shutdown_timeout": 1.0},
        {"ssl_standard_compatible": False},
    ],
)
def test_tls_arguments_need_tls(ssl_argument: dict[str, Any], option: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        new_client(("127.0.0.1", 9), **ssl_argument, **option)


def test_it_may_be_subclassed() -> None:
    class Named(TCPNetworkClient[str, str]):
        def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.name = name

        def __eq__(self, other: object) -> bool:  # and so it has no hash
            return isinstance(other, Named) and self.name == other.name

        __hash__ = None  # type: ignore[assignment]  # as Python does it itself

    with TCP.address() as (address, _):
        with Named(address, line_protocol(), name="x") as client:
            assert client.name == "x"


def test_many_packets_arrive_in_their_order() -> None:
    with TCP.address() as (address, listener), new_client(address) as client, listener.accept()[0] as peer:

        def echo() -> None:
            while data := peer.recv(1 << 16):
                peer.sendall(data)

        echoing = InThread(echo)
        numbers = InThread(lambda: [int(client.recv_packet(timeout=PATIENCE)) for _ in range(5000)])
        for number in range(5000):
            client.send_packet(f"{number}")
        assert numbers.result() == list(range(5000))
        client.send_eof()
        echoing.result()


def test_without_the_ssl_module_tls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easynetwork.clients._tls._ssl", None)
    with pytest.raises(RuntimeError):
        new_client(("127.0.0.1", 9), ssl=ssl.create_default_context())
