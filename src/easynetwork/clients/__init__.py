"""TCP and UDP clients, asynchronous and blocking."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkClient", "AsyncUDPNetworkClient", "TCPNetworkClient", "UDPNetworkClient"]

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.clients.async_udp import AsyncUDPNetworkClient
from easynetwork.clients.tcp import TCPNetworkClient
from easynetwork.clients.udp import UDPNetworkClient
