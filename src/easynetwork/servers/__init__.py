"""TCP and UDP servers, for asynchronous and for blocking programs."""

from __future__ import annotations

__all__ = [
    "AsyncTCPNetworkServer",
    "AsyncUDPNetworkServer",
    "DrainReport",
    "ProxyProtocol",
    "ServerLimits",
    "ServerStatistics",
    "StandaloneTCPNetworkServer",
    "StandaloneUDPNetworkServer",
]

from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.draining import DrainReport
from easynetwork.servers.limits import ServerLimits
from easynetwork.servers.proxy_protocol import ProxyProtocol
from easynetwork.servers.standalone_tcp import StandaloneTCPNetworkServer
from easynetwork.servers.standalone_udp import StandaloneUDPNetworkServer
from easynetwork.servers.statistics import ServerStatistics
