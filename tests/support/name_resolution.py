"""Host names without a name server."""

from __future__ import annotations

__all__ = ["resolve_every_name_to_loopback", "resolve_to", "tcp_addresses", "udp_addresses"]

import socket
from collections.abc import Sequence
from typing import Any

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend


def tcp_addresses(port: int, *hosts: str) -> list[Any]:
    """Return what ``getaddrinfo()`` gives for TCP over IPv4."""
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)) for host in hosts]


def udp_addresses(port: int, *hosts: str) -> list[Any]:
    """Return what ``getaddrinfo()`` gives for UDP over IPv4."""
    return [(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "", (host, port)) for host in hosts]


def resolve_to(backend: AsyncBackend, monkeypatch: pytest.MonkeyPatch, found: Sequence[Any]) -> None:
    """Let *backend* resolve every name to *found*."""

    async def getaddrinfo(self: AsyncBackend, *args: Any, **kwargs: Any) -> Sequence[Any]:
        await self.coro_yield()
        return found

    monkeypatch.setattr(type(backend), "getaddrinfo", getaddrinfo)


def resolve_every_name_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system resolve every name to 127.0.0.1."""
    really = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *args, **kwargs: really("127.0.0.1", *args, **kwargs))
