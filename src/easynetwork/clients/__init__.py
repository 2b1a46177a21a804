"""Clients."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkClient", "AsyncUDPNetworkClient"]

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.clients.async_udp import AsyncUDPNetworkClient
