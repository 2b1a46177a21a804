"""Whether the answers of an echo server are the right ones."""

from __future__ import annotations

__all__ = ["AnswerChecker", "Faults"]

from dataclasses import astuple, dataclass
from typing import Any

from easynetwork.cli.demo.workload import Packet


@dataclass(slots=True)
class Faults:
    """How many answers were wrong, by what was wrong."""

    lost: int = 0
    """Packets without an answer."""

    doubled: int = 0
    """Answers to packets that had been answered before."""

    altered: int = 0
    """Answers that differ from the packet, or belong to none."""

    reordered: int = 0
    """Answers that came after the answer to a later packet."""

    def __add__(self, other: Faults) -> Faults:
        return Faults(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def __bool__(self) -> bool:
        return any(astuple(self))

    def __str__(self) -> str:
        return f"{self.lost:,} lost, {self.doubled:,} doubled, {self.altered:,} altered, {self.reordered:,} reordered"


class AnswerChecker:
    """Compares the answers on one connection with the packets sent. Holds only the packets not answered yet."""

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
        """Take note of a packet before it is sent. Their numbers count from 0."""
        self._outstanding[self._sent] = packet, now
        self._sent += 1

    def answered(self, answer: Any, now: float) -> float | None:
        """Check an answer; return the seconds since its packet was sent, or None if no packet was waiting for it."""
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
        """Take note of an answer that was no packet at all."""
        self._faults.altered += 1

    def faults(self) -> Faults:
        """Return what was wrong, when no more answers are to come."""
        return self._faults + Faults(lost=self._planned - self._sent + len(self._outstanding))
