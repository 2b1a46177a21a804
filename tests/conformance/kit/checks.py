"""Collections of checks, of which each harness gets those that apply to it."""

from __future__ import annotations

__all__ = ["Check", "Checks", "Feature", "name_of"]

import enum
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

_T_Stage = TypeVar("_T_Stage")


class Feature(enum.Flag):
    """What a transport or a listener may do or leave."""

    HALF_CLOSE = enum.auto()
    """``send_eof()`` works. Without it, it raises `UnsupportedOperation`."""
    RESET = enum.auto()
    """The peer can end the connection abruptly, and our side is told of it."""
    SOCKET = enum.auto()
    """There is a socket below, and the four keys of `SocketAttribute` are provided."""
    ANCILLARY = enum.auto()
    """File descriptors can be sent along. The peer is a Unix socket."""
    CANCELLED_SEND = enum.auto()
    """The connection survives a ``send_all()`` that is cancelled: what follows arrives after a part of its data."""
    SUCCESSIVE_CLOSE = enum.auto()
    """It is made of several transports that are closed one after the other: only then is it closing."""
    EOF_AFTER_CLOSE = enum.auto()
    """Receiving from a closed transport may report the end of the stream instead of ``EBADF``."""
    TLS = enum.auto()
    """The stream is encrypted. The peer is a `TLSPeer`."""
    RELIABLE = enum.auto()
    """No datagram is lost: a sender waits until there is room."""
    REFUSAL = enum.auto()
    """A datagram for a peer that has gone is an error at once."""
    LATE_REFUSAL = enum.auto()
    """A datagram for a peer that has gone makes a later operation fail, once."""


NOTHING: Final = Feature(0)

Check: TypeAlias = Callable[[_T_Stage], Awaitable[None]]


class _Featured(Protocol):
    @property
    def features(self) -> Feature: ...


class Checks(Generic[_T_Stage]):
    """An ordered collection of checks; the decorator that adds to it.

    Parameters:
        include: collections whose checks belong to this one too.
    """

    def __init__(self, *include: Checks[Any]) -> None:
        self._include = include
        self._own: list[tuple[Check[_T_Stage], Feature, Feature]] = []

    def __call__(
        self, *, needs: Feature = NOTHING, without: Feature = NOTHING
    ) -> Callable[[Check[_T_Stage]], Check[_T_Stage]]:
        """Add a check for those that have all features in *needs*, and none in *without*."""

        def add(check: Check[_T_Stage]) -> Check[_T_Stage]:
            self._own.append((check, needs, without))
            return check

        return add

    def of(self, harness: _Featured) -> list[Check[_T_Stage]]:
        """Return the checks that apply to *harness*."""
        own = [
            check for check, needs, without in self._own if needs in harness.features and not without & harness.features
        ]
        return [check for part in self._include for check in part.of(harness)] + own


def name_of(check: Check[Any]) -> str:
    """Return the name of a check, which says what it promises."""
    return getattr(check, "__name__", repr(check))
