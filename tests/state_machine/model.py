"""What a connection must do: the bytes that each side has sent, may receive and must receive, and how they end."""

from __future__ import annotations

__all__ = ["Direction", "Expectation", "Protocol"]

from typing import Literal, NamedTuple, TypeAlias

Protocol: TypeAlias = Literal["lines", "raw"]


class Expectation(NamedTuple):
    """What a call that receives may do now. At least one of these is true."""

    packet: bool
    """It may return a packet."""
    end: bool
    """It may report the end of the stream."""
    wait: bool
    """It may wait."""


class Direction:
    """The bytes from one side of a connection to the other.

    The first ``certain`` bytes of ``sent`` must arrive, unless the connection was reset. Of the others, which belong to
    packets whose sending has not returned, any prefix may arrive.
    """

    def __init__(self) -> None:
        self.sent = bytearray()
        self.certain = 0
        self.taken = 0
        self.ended = False
        """Nothing more will be sent."""
        self.reset = False
        """The connection may be lost: no byte is certain any more."""
        self.must_break = False
        """The receiving side must not take the end for the ordinary one."""
        self.is_reported = False
        """The receiving side has seen the end. The system reports a reset once, and then the ordinary end."""
        self.promised: int | None = None
        """The receiving side is draining, and still receives the bytes before this one; None if it is not draining."""
        self._packet_ends = {0}

    @property
    def outstanding(self) -> int:
        """The number of bytes that are sent and not received."""
        return len(self.sent) - self.taken

    def add(self, data: bytes) -> None:
        """Note that *data* is being sent."""
        self.sent += data
        self._packet_ends.add(len(self.sent))

    def confirm(self) -> None:
        """Note that the call that sends has returned."""
        self.certain = len(self.sent)

    def expectation(self, protocol: Protocol) -> Expectation:
        """Return what a call that receives may do."""
        certain, possible = self.sent[self.taken : self.certain], self.sent[self.taken :]
        if protocol == "lines":
            must_return, may_return = b"\n" in certain, b"\n" in possible
        else:
            must_return, may_return = bool(certain), bool(possible)
        if self.reset:
            return Expectation(packet=may_return, end=True, wait=not self.ended and self.promised is None)
        if self.promised is not None and self.taken >= self.promised:
            # The next packet has begun after the draining. If its first bytes were seen, its end may be awaited.
            is_incomplete = protocol == "lines" and bool(possible) and not must_return
            return Expectation(packet=may_return, end=True, wait=is_incomplete and not self.ended)
        if must_return:
            return Expectation(packet=True, end=False, wait=False)
        return Expectation(packet=may_return, end=self.ended, wait=not self.ended)

    def take(self, packet: bytes, protocol: Protocol) -> None:
        """Check that *packet*, with its end, is what comes next, and take it."""
        rest = bytes(self.sent[self.taken :])
        assert packet, "an empty packet was received"
        assert rest.startswith(packet), f"received {packet[:60]!r}, but {rest[:60]!r} comes next"
        if protocol == "lines":
            assert packet.find(b"\n") == len(packet) - 1
        self.taken += len(packet)

    def note_draining(self) -> None:
        """Note that the receiving side begins to drain. All that has arrived, even a part of a packet, counts."""
        if self.promised is None:
            # If more is on its way, nobody knows how much of it has arrived.
            self.promised = self.certain if self.outstanding < 10_000 else self.taken

    def check_end(self, is_incomplete: bool | None, is_ordinary: bool | None, *, may_be_torn: bool) -> None:
        """Check that the stream may end here.

        Parameters:
            is_incomplete: whether the end was reported as that of an incomplete packet; None if it does not tell.
            is_ordinary: whether the end was reported as the ordinary one, not as an error; None if it does not tell.
            may_be_torn: whether the ordinary end may come in the middle of what a call sends.
        """
        if self.is_reported or self.promised is not None:  # if it drains, it has ended the stream itself
            return
        self.is_reported = True
        if is_ordinary:
            assert not self.must_break, "the end of an aborted connection looks like the ordinary one"
            if not is_incomplete:
                assert self.taken >= self.certain, f"the ordinary end comes {self.certain - self.taken} bytes too early"
                assert may_be_torn or self.taken in self._packet_ends, "the ordinary end comes inside of a packet"
        if not self.reset and is_incomplete is not None and self.certain == len(self.sent):
            assert is_incomplete == bool(self.outstanding), f"{self.outstanding} bytes are left"
