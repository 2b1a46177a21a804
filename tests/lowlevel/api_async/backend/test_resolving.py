"""Resolving host names, on every backend."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.support.descriptors import all_closed

from easynetwork.lowlevel.api_async.backend import _resolving
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener, AsyncListener
from easynetwork.lowlevel.socket import SocketAttribute

EVERY_BACKEND = True

Answers = dict[str, list[Any] | BaseException]

STREAM = (socket.SOCK_STREAM, socket.IPPROTO_TCP)


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], list[tuple[Any, ...]]]:
    """Set what each name resolves to; return a list of the questions to come."""

    def start(answers: Answers) -> list[tuple[Any, ...]]:
        questions: list[tuple[Any, ...]] = []
        really = socket.getaddrinfo

        def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
            if host not in answers:
                return really(host, port, family, type, proto, flags)
            if flags & socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "no number")
            questions.append((host, port, family, type, flags))
            answer = answers[host]
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return questions

    return start


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch, backend: AsyncBackend) -> None:
    async def run_in_thread(*args: Any, **kwargs: Any) -> Any:
        pytest.fail("no thread is needed")

    monkeypatch.setattr(type(backend), "run_in_thread", run_in_thread)


@pytest.mark.usefixtures("no_threads")
async def test_numeric_hosts_need_no_thread(backend: AsyncBackend) -> None:
    found = await _resolving.resolve(backend, "127.0.0.1", 80, socket.SOCK_STREAM)
    assert found == [(socket.AF_INET, *STREAM, "", ("127.0.0.1", 80))]
    listeners = await _resolving.resolve_listener_hosts(backend, ["127.0.0.1", "::1"], 0, socket.SOCK_STREAM)
    assert [[info[4][0] for info in host] for host in listeners] == [["127.0.0.1"], ["::1"]]


async def test_family_type_and_flags_reach_the_resolver(
    backend: AsyncBackend, name_server: Callable[[Answers], list[tuple[Any, ...]]]
) -> None:
    info = (socket.AF_INET, *STREAM, "", ("127.0.0.1", 80))
    questions = name_server({"host.test": [info]})
    found = await _resolving.resolve(backend, "host.test", 80, socket.SOCK_DGRAM, family=socket.AF_INET6)
    assert found == [info]
    await _resolving.resolve_listener_hosts(backend, "host.test", 80, socket.SOCK_STREAM)
    assert questions == [
        ("host.test", 80, socket.AF_INET6, socket.SOCK_DGRAM, 0),
        ("host.test", 80, socket.AF_UNSPEC, socket.SOCK_STREAM, socket.AI_PASSIVE),
    ]


async def test_a_host_without_addresses_is_an_oserror(
    backend: AsyncBackend, name_server: Callable[[Answers], list[tuple[Any, ...]]]
) -> None:
    name_server({"host.test": []})
    with pytest.raises(OSError, match=r"host\.test"):
        await _resolving.resolve(backend, "host.test", 80, socket.SOCK_STREAM)


async def test_an_unknown_host_is_a_gaierror_and_for_listeners_in_a_group(
    backend: AsyncBackend, name_server: Callable[[Answers], list[tuple[Any, ...]]]
) -> None:
    name_server({"host.test": socket.gaierror(socket.EAI_NONAME, "unknown")})
    with pytest.raises(socket.gaierror):
        await _resolving.resolve(backend, "host.test", 80, socket.SOCK_STREAM)
    with pytest.raises(ExceptionGroup) as exc_info:
        await _resolving.resolve_listener_hosts(backend, ["127.0.0.1", "host.test"], 80, socket.SOCK_STREAM)
    assert [type(exc) for exc in exc_info.value.exceptions] == [socket.gaierror]


async def test_bad_hosts_are_refused_before_anything_is_resolved(backend: AsyncBackend) -> None:
    hosts: Any = ["127.0.0.1", 5]
    with pytest.raises(TypeError):
        await _resolving.resolve_listener_hosts(backend, hosts, 80, socket.SOCK_STREAM)


async def test_a_resolution_is_abandoned_when_cancelled(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def getaddrinfo(host: Any, port: Any, family: int, type: int, proto: int, flags: int) -> Any:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        asked.set()
        answer.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        with backend.move_on_after(0.05) as scope:
            await _resolving.resolve(backend, "host.test", 80, socket.SOCK_STREAM)
        assert scope.cancelled_caught()
        assert asked.is_set()
    finally:
        answer.set()


# --- addresses that do not exist here


def of_type(type_: int) -> list[Any]:
    """Return the answer for a name with an address that this host does not have, and one that it has."""
    return [(socket.AF_INET, type_, 0, "", (host, 0)) for host in ("198.51.100.1", "127.0.0.1")]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_listener_skips_the_addresses_of_a_name_that_do_not_exist(
    backend: AsyncBackend, name_server: Callable[[Answers], list[tuple[Any, ...]]], kind: str
) -> None:
    answer = of_type(socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    name_server({"half-missing.test": answer, "missing.test": answer[:1]})

    async def listen(host: str | list[str]) -> Sequence[AsyncListener[Any] | AsyncDatagramListener[Any]]:
        if kind == "tcp":
            return await backend.create_tcp_listeners(host, 0, 5)
        return await backend.create_udp_listeners(host, 0)

    [listener] = await listen("half-missing.test")
    assert listener.extra(SocketAttribute.sockname)[0] == "127.0.0.1"
    await listener.aclose()

    async with all_closed():
        for host in ("198.51.100.1", ["half-missing.test", "198.51.100.1"], ["127.0.0.1", "missing.test"]):
            with pytest.raises(ExceptionGroup) as exc_info:
                await listen(host)
            for exc in exc_info.value.exceptions:
                assert isinstance(exc, OSError)
                assert exc.errno == errno.EADDRNOTAVAIL


async def test_clients_skip_the_addresses_of_a_name_that_do_not_exist(
    backend: AsyncBackend, name_server: Callable[[Answers], list[tuple[Any, ...]]]
) -> None:
    name_server({"stream.test": of_type(socket.SOCK_STREAM), "datagram.test": of_type(socket.SOCK_DGRAM)})
    with socket.create_server(("127.0.0.1", 0)) as server:
        address: tuple[str, int] = server.getsockname()
        transports = [
            await backend.create_tcp_connection(*address, local_address=("stream.test", 0)),
            await backend.create_udp_endpoint(*address, local_address=("datagram.test", 0)),
        ]
        for transport in transports:
            assert transport.extra(SocketAttribute.sockname)[0] == "127.0.0.1"
            await transport.aclose()
        for connect in (backend.create_tcp_connection, backend.create_udp_endpoint):
            with pytest.raises(ExceptionGroup):
                await connect(*address, local_address=("198.51.100.1", 0))


# --- zones


async def test_the_zone_of_a_peer_becomes_its_scope(backend: AsyncBackend) -> None:
    index = socket.if_nameindex()[0][0]
    zoned = f"fe80::1%{index}"
    for address in [(zoned, 5), (zoned, 5, 0), (zoned, 5, 0, 0)]:
        assert await _resolving.resolve_peer(backend, address, socket.AF_INET6) == ("fe80::1", 5, 0, index)
    assert await _resolving.resolve_peer(backend, (zoned, 5, 3, 0), socket.AF_INET6) == ("fe80::1", 5, 3, index)


async def test_a_numeric_peer_stays_as_it_is(backend: AsyncBackend) -> None:
    for address in [("::1", 5), ("fe80::1", 5, 0, 7)]:
        assert await _resolving.resolve_peer(backend, address, socket.AF_INET6) == address
    assert await _resolving.resolve_peer(backend, ("127.0.0.1", 5), socket.AF_INET) == ("127.0.0.1", 5)
