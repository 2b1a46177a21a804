"""Servers."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkServer", "StandaloneTCPNetworkServer"]

from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer
