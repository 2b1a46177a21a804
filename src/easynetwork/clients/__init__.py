"""Clients."""

from __future__ import annotations

__all__ = ["AsyncTCPNetworkClient"]

from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
