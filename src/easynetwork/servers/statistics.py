"""The counters of a server."""

from __future__ import annotations

__all__ = ["ServerStatistics"]

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerStatistics:
    """A snapshot of the counters of a server since its creation.

    Counters that do not apply to its transport are 0 or empty.
    """

    connections_accepted: int = 0
    """Number of connections that were given to the handler, after their TLS handshake."""

    connections_open: int = 0
    """Number of connections whose handler has not ended."""

    connections_ended: Mapping[str, int] = field(default_factory=dict)
    """Number of connections whose handler has ended, by reason.

    ===================  ==========================================================================================
    reason               meaning
    ===================  ==========================================================================================
    ``"peer"``           the client has ended its stream
    ``"lost"``           the connection broke: reset, cut TLS, or given up by the network
    ``"handler"``        the handler has closed the connection, or returned without a ``yield``
    ``"fault"``          the handler raised an exception, or received an invalid packet that it did not handle
    ``"drained"``        the server was draining, or the client was idle for too long
    ``"stopped"``        the server was shut down
    the name of a limit  see `ServerLimits`
    ===================  ==========================================================================================
    """

    connections_blocked: int = 0
    """Number of open connections with data that the system has not taken yet, because the client does not read."""

    handshakes_failed: Mapping[str, int] = field(default_factory=dict)
    """Number of TLS handshakes that failed, by reason.

    ``"late"``: it took too long. ``"left"``: the client has left before its end. ``"refused"``: any other failure.
    """

    over_limits: Mapping[str, int] = field(default_factory=dict)
    """How often a limit was exceeded, by the name of its field in `ServerLimits`.

    It includes refused connections and log records that were left out.
    """

    conversations: int = 0
    """Number of senders of datagrams whose handler has not ended."""

    dropped_datagrams: int = 0
    """Number of datagrams that were dropped because handlers were too slow."""

    packets_received: int | None = None
    """Number of valid packets received. This number and the next four are None unless ``"traffic"`` is measured."""

    packets_sent: int | None = None
    """Number of packets sent, or given to the transport to be sent."""

    bytes_received: int | None = None
    """Number of bytes received, without TLS and protocol headers."""

    bytes_sent: int | None = None
    """Number of bytes of the packets sent."""

    invalid_packets: int | None = None
    """Number of packets that could not be parsed."""

    longest_stall: float | None = None
    """The longest time in which the event loop could not run anything else, in seconds.

    None unless ``"stalls"`` are measured. It is exact to 10 ms, or half of its value if that is less.
    """
