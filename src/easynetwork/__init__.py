"""Clients and servers that exchange Python objects over TCP, TLS, UDP and Unix sockets."""

from __future__ import annotations

__all__: list[str] = []

from .version import __version__ as __version__
