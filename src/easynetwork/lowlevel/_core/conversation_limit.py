"""The limit of the number of conversations of a datagram server."""

from __future__ import annotations

__all__ = ["ConversationLimit"]

from collections.abc import Callable
from typing import Any, Protocol


class Endable(Protocol):
    """A conversation, as far as its limit is concerned."""

    is_over: bool
    """Whether `end` was called."""

    def end(self) -> None:
        """Close the generator if it waits for a datagram, or cancel what it awaits."""


class ConversationLimit:
    """Ends the conversation that was least recently heard when one of a listener is too many.

    Parameters:
        number: how many conversations there may be.
        exceeded: called for each conversation that is ended.
    """

    __slots__ = ("_ending", "_exceeded", "_number")

    def __init__(self, number: int, exceeded: Callable[[], object]) -> None:
        self._number = number
        self._exceeded = exceeded
        self._ending = 0  # number of conversations that were told to end, but have not ended yet

    def heard(self, conversations: dict[Any, Any], address: Any) -> None:
        """Note that a datagram from *address* has arrived. Call this before it is handled.

        This keeps *conversations* in the order in which they were last heard.
        """
        if (conversation := conversations.pop(address, None)) is not None:
            conversations[address] = conversation

    def keep(self, conversations: dict[Any, Any]) -> None:
        """End as many *conversations* as are too many."""
        surplus = len(conversations) - self._ending - self._number
        if surplus <= 0:
            return
        ended: list[Endable] = []
        for conversation in conversations.values():
            if not conversation.is_over:
                ended.append(conversation)
                if len(ended) == surplus:
                    break
        for conversation in ended:
            self._ending += 1
            self._exceeded()
            conversation.end()

    def forget(self, conversation: Endable) -> None:
        """Note that *conversation* has ended."""
        if conversation.is_over:
            self._ending -= 1
