"""The limits of a server."""

from __future__ import annotations

__all__ = ["ServerLimits"]

from dataclasses import dataclass, fields
from typing import Any, Final

from easynetwork._checks import check_above_zero, check_strictly_positive

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLimits:
    """What the peers of one server may use at most. None means no limit, except where a field says otherwise.

    A connection over a limit is closed. If it is new, it costs no task. Otherwise its handler sees the ordinary end:
    its generator is closed, ``on_disconnection()`` runs. A server looks at its connections several times a second, so a
    deadline may pass by up to a second before the connection is closed, but is never cut short.

    The server counts what is over a limit, and logs the numbers once per `log_interval`: at ``WARNING``, or at ``INFO``
    if there were only idle clients.

    Raises:
        TypeError: a number of seconds is not a number.
        ValueError: a number of seconds is not above 0, or another field is not a strictly positive integer.
    """

    # ------------------------------------------------------------------------------------------- when a client connects

    connections: int | None = None
    """Number of open connections. Streams only."""

    connections_per_address: int | None = None
    """Number of open connections from one address. TCP only.

    Clients behind one router share an address. The addresses of one IPv6 network with a prefix of 64 bits count as one,
    because a single client can use all of them (:rfc:`4291`, section 2.5.4). Behind a proxy (*proxy_protocol*), the
    addresses of the clients count, not those of the proxies. Connections without such an address do not count.
    """

    handshakes: int | None = None
    """Number of TLS handshakes that are not complete, in servers with *ssl*.

    In servers with *proxy_protocol*, connections whose PROXY header is not complete count too.
    """

    # -------------------------------------------------------------------------------------------------- seconds of time
    # The clocks of the client run while the handler waits for a packet, not while it works.

    handshake_timeout: float | None = None
    """Seconds for a TLS handshake, also for that of ``start_tls()``. None: 60 seconds.

    If *ssl_handshake_timeout* is given too, the shorter one applies.
    """

    first_packet_timeout: float | None = None
    """Seconds from the beginning of a connection (after the TLS handshake) to the end of its first packet."""

    packet_timeout: float | None = None
    """Seconds from the first byte of a packet to its last. More bytes do not extend the time. Streams only."""

    idle_timeout: float | None = None
    """Seconds without a packet, and without a part of one. The connection is closed in an orderly way. Streams only.

    Invalid packets, and TLS records without data, do not count as packets.
    """

    send_timeout: float | None = None
    """Seconds in which the client takes no byte, while some wait to be sent. The connection is reset. Streams only.

    On Linux, the client has taken a byte when its system has acknowledged it. Elsewhere, the server only knows when its
    own system has taken the byte. A slow client may hold that up for long.
    """

    close_timeout: float | None = None
    """Seconds from the beginning of a close to its end. Streams only. None: about 30 seconds, and 30 more for TLS."""

    # ----------------------------------------------------------------------------------------------------------- memory

    buffered_bytes_per_peer: int | None = None
    """Number of bytes that wait for one client: received and not handled, or sent and not taken by the system.

    Datagrams above it are dropped; each counts as its size plus 128 bytes. None: 1 MiB of datagrams, no limit of
    streams. The buffers of a stream have bounds of their own: together about 512 KiB on asyncio and uvloop, and less on
    trio. A single packet may be larger.
    """

    buffered_bytes: int | None = None
    """The same for all clients together. In streams, the clients with most bytes lose their connections first.

    A datagram server counts for each socket that it listens on. None: 8 MiB of datagrams, no limit of streams.
    """

    conversations: int | None = None
    """Number of senders whose datagrams a handler has not finished, because it waits. Datagrams only.

    The server counts for each socket that it listens on. If there is one sender too many, the generator of the least
    recently heard sender ends: it is closed at its ``yield``, or what it awaits is cancelled.
    """

    # -------------------------------------------------------------------------------------------------------------- log

    log_records: int | None = None
    """Number of log records about clients per `log_interval`. The server counts the others and logs their number."""

    log_interval: float = 60.0
    """Seconds between two records about limits."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if "timeout" in field.name or field.name == "log_interval":
                check_above_zero(field.name, value)
            elif isinstance(value, bool):
                raise ValueError(f"{field.name!r} must be a strictly positive integer, got {value!r}")
            else:
                check_strictly_positive(field.name, value)

    @classmethod
    def internet(cls, **changes: Any) -> ServerLimits:
        """Return limits for a server that everyone can reach, with *changes* to single fields.

        ============================  ===========  ============================  ===========
        field                         value        field                         value
        ============================  ===========  ============================  ===========
        `connections`                 10,000       `send_timeout`                30 s
        `connections_per_address`     100          `close_timeout`               10 s
        `handshakes`                  1,000        `buffered_bytes_per_peer`     16 MiB
        `handshake_timeout`           10 s         `buffered_bytes`              256 MiB
        `first_packet_timeout`        30 s         `conversations`               10,000
        `packet_timeout`              30 s         `log_records`                 30
        `idle_timeout`                5 min        `log_interval`                60 s
        ============================  ===========  ============================  ===========

        Raises:
            TypeError: *changes* names something other than a field.
            ValueError: see `ServerLimits`.
        """
        preset: dict[str, Any] = {
            "connections": 10_000,
            "connections_per_address": 100,
            "handshakes": 1000,
            "handshake_timeout": 10.0,
            "first_packet_timeout": 30.0,
            "packet_timeout": 30.0,
            "idle_timeout": 300.0,
            "send_timeout": 30.0,
            "close_timeout": 10.0,
            "buffered_bytes_per_peer": 16 * _MIB,
            "buffered_bytes": 256 * _MIB,
            "conversations": 10_000,
            "log_records": 30,
            "log_interval": 60.0,
        }
        return cls(**{**preset, **changes})


NO_LIMITS: Final = ServerLimits()
"""What a server has by default."""


def shortest(*timeouts: float | None) -> float | None:
    """Return the shortest of *timeouts*; None if all are None."""
    return min((timeout for timeout in timeouts if timeout is not None), default=None)
