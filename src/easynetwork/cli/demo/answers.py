"""Check the answers of an echo server."""

from __future__ import annotations

__all__ = ["AnswerChecker", "Faults"]

from dataclasses import astuple, dataclass
from typing import Any

from easynetwork.cli.demo.workload import Packet


@dataclass(slots=True)
class Faults:
    """The number of wrong answers of each kind."""

    lost: int = 0
    """Packets without an answer."""

    doubled: int = 0
    """Answers to packets that had already been answered."""

    altered: int = 0
    """Answers that differ from the packet, or do not belong to a packet."""

    reordered: int = 0
    """Answers that arrived after the answer to a later packet."""

    def __add__(self, other: Faults) -> Faults:
        return Faults(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))

    def __str__(self) -> str:
        return f"{self.lost:,} lost, {self.doubled:,} doubled, {self.altered:,} altered, {self.reordered:,} reordered"


class AnswerChecker:
    """Compare the answers on one connection with the packets sent. It stores only the unanswered packets."""

    __slots__ = ("_faults", "_last_answered", "_outstanding", "_planned", "_sent")

    def __init__(self, planned: int) -> None:
        self._planned = planned
        self._sent = 0
        self._outstanding: dict[int, tuple[Packet, float]] = {}
        self._last_answered = -1
        self._faults = Faults()

    @property
    def complete(self) -> bool:
        """Whether all planned packets have been sent and answered."""
        return self._sent == self._planned and not self._outstanding

    def sending(self, packet: Packet, now: float) -> None:
        """Record a packet before it is sent. Packets are numbered from 0."""
        self._outstanding[self._sent] = packet, now
        self._sent += 1

    def answered(self, answer: Any, now: float) -> float | None:
        """Check an answer. Return the seconds since its packet was sent, or None if no packet was waiting for it."""
        number = answer.get("number") if isinstance(answer, dict) else None
        if type(number) is not int or not 0 <= number < self._sent:  # 7.0 and True are not the integers we sent
            self._faults.altered += 1
            return None
        packet, sent_at = self._outstanding.pop(number, (None, 0.0))
        if packet is None:
            self._faults.doubled += 1
            return None
        if answer != packet:
            self._faults.altered += 1
        if number < self._last_answered:
            self._faults.reordered += 1
        else:
            self._last_answered = number
        return now - sent_at

    def undecodable(self) -> None:
        """Record an answer that is not a valid packet."""
        self._faults.altered += 1

    def faults(self) -> Faults:
        """Return the faults. Call it when no more answers are expected."""
        return self._faults + Faults(lost=self._planned - self._sent + len(self._outstanding))
