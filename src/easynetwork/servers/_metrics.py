"""What monitoring systems are told of a server."""

from __future__ import annotations

__all__ = ["METRICS", "HasStatistics", "Metric"]

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from .statistics import ServerStatistics


class HasStatistics(Protocol):
    """A server, asynchronous or standalone."""

    def statistics(self) -> ServerStatistics: ...


class Metric(NamedTuple):
    """A field of `ServerStatistics`, as monitoring systems see it."""

    field: str
    name: str
    """The name, in words separated by dots."""
    unit: str
    """The unit: seconds, bytes, or what is counted."""
    description: str
    grows: bool = True
    """Whether the value never falls, unless the program is started again."""
    label: str = ""
    """What tells the values of a mapping apart."""

    def values(self, statistics: ServerStatistics) -> Mapping[str, float]:
        """Return the values by their label; the only one has an empty label. What is not measured has no value."""
        value: Any = getattr(statistics, self.field)
        if value is None:
            return {}
        return value if isinstance(value, Mapping) else {"": value}


METRICS: Final = (
    Metric("connections_accepted", "connections.accepted", "connection", "Connections given to the handler"),
    Metric(
        "connections_open", "connections.open", "connection", "Connections whose handler has not ended", grows=False
    ),
    Metric("connections_ended", "connections.ended", "connection", "Connections that have ended", label="reason"),
    Metric(
        "connections_blocked", "connections.blocked", "connection", "Connections that wait for a reader", grows=False
    ),
    Metric("handshakes_failed", "handshakes.failed", "handshake", "TLS handshakes that failed", label="reason"),
    Metric("over_limits", "over_limits", "event", "Times that a limit was exceeded", label="limit"),
    Metric("conversations", "conversations", "sender", "Senders of datagrams that a handler serves", grows=False),
    Metric("dropped_datagrams", "datagrams.dropped", "datagram", "Datagrams dropped because handlers were too slow"),
    Metric("packets_received", "packets.received", "packet", "Valid packets received"),
    Metric("packets_sent", "packets.sent", "packet", "Packets sent"),
    Metric("bytes_received", "received", "bytes", "Bytes of packets received"),
    Metric("bytes_sent", "sent", "bytes", "Bytes of packets sent"),
    Metric("invalid_packets", "packets.invalid", "packet", "Packets that could not be parsed"),
    Metric(
        "longest_stall", "longest_stall", "seconds", "Longest time in which the event loop was blocked", grows=False
    ),
)
