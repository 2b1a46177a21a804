"""The common part of asynchronous and blocking clients under load."""

from __future__ import annotations

__all__ = ["SECONDS_TO_CLOSE", "LoadClient", "reason"]

import time
from abc import ABC, abstractmethod
from array import array
from typing import Any

from easynetwork.cli.demo.answers import AnswerChecker
from easynetwork.cli.demo.transport import Transport
from easynetwork.cli.demo.workload import PacketMaker

SECONDS_TO_CLOSE = 10.0
_SECONDS_FOR_SURPLUS = 0.2


class LoadClient(ABC):
    """One client, the packets that it sends and the answers that it receives.

    Parameters:
        transport: the transport of its connection.
        connection: a connected client of the library.
        make_packet: creates its packets.
        share: the number of packets to send.
        in_flight: the number of packets to send ahead of the answers.
        latencies: receives the seconds from sending to answer of each answered packet.
    """

    __slots__ = (
        "_connection",
        "_has_half_close",
        "_in_flight",
        "_latencies",
        "_make_packet",
        "_share",
        "checker",
        "failure",
    )

    def __init__(
        self,
        transport: Transport,
        connection: Any,
        make_packet: PacketMaker,
        share: int,
        in_flight: int,
        latencies: array[float],
    ) -> None:
        self._has_half_close = transport.has_half_close
        self._connection = connection
        self._make_packet = make_packet
        self._share = share
        self._in_flight = in_flight
        self._latencies = latencies
        self.checker: AnswerChecker = AnswerChecker(share)
        self.failure: str | None = None
        """Why the connection ended early, if it did."""

    @abstractmethod
    async def run(self) -> None:
        """Send everything and wait for the answers."""
        raise NotImplementedError

    @abstractmethod
    async def finish(self) -> None:
        """End the conversation, and check answers that still arrive."""
        raise NotImplementedError

    def _next_packet(self, number: int) -> dict[str, Any]:
        packet = self._make_packet(number)
        self.checker.sending(packet, time.perf_counter())
        return packet

    def _take(self, answer: object) -> bool:
        """Check an answer. Return whether a packet was waiting for it."""
        latency = self.checker.answered(answer, time.perf_counter())
        if latency is None:
            return False
        self._latencies.append(latency)
        return True

    @property
    def _seconds_to_finish(self) -> float:
        return SECONDS_TO_CLOSE if self._has_half_close else _SECONDS_FOR_SURPLUS

    def _not_closed_in_time(self) -> None:
        # After a half-close the server must close the connection. Other clients only wait a while for surplus answers.
        if self._has_half_close:
            self.failure = f"the server did not close the connection within {SECONDS_TO_CLOSE:g} s"


def reason(error: BaseException) -> str:
    """Return the message of *error*, or of the first error in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
