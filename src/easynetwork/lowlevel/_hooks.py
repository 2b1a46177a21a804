"""Private hooks: how our own transports, listeners and backends do for less what their documented methods do.

A hook is a method with a name that begins with ``_hook_``. It takes the place of documented methods: `STANDS_FOR` says
of which. The code that wants one asks `find_hook`, once per connection and never per packet, and has a default made of
documented methods alone. Three rules let any object with the documented methods work:

* The *type* of an object decides. A mock made with ``spec=`` answers to every name that its specification has, but its
  type does not.
* The abstract classes define no hook. A subclass written by a user inherits none.
* An override of a documented method has the last word. A class that overrides one loses the inherited hooks that stand
  for it (`drop_overridden_hooks`), unless it defines them again. So a class never calls a hook of its own.

The modules ``_hooks`` of the transports (asynchronous and blocking) and of the backends have one function per hook,
with its contract and its default.
"""

from __future__ import annotations

__all__ = ["STANDS_FOR", "drop_overridden_hooks", "find_hook"]

from collections.abc import Mapping
from typing import Any, Final

_RECEIVING: Final = ("recv", "recv_into")
_RECEIVING_ANCILLARY: Final = ("recv_with_ancillary", "recv_with_ancillary_into")
_SENDING: Final = ("send_all", "send_all_from_iterable")

STANDS_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    # stream transports
    "_hook_write_batch": _SENDING,
    "_hook_chunk_receiver": (*_RECEIVING, "recv_noblock", "recv_noblock_into"),
    "_hook_driver": (*_RECEIVING, *_RECEIVING_ANCILLARY, "is_closing"),
    "_hook_expect_input": (),
    "_hook_close_soon": ("aclose",),
    "_hook_keep_names": ("extra_attributes",),
    "_hook_start_tls": (*_RECEIVING, *_SENDING, "is_closing", "aclose"),
    # datagram listeners
    "_hook_send_nowait": ("send_to",),
    "_hook_run_conversations": ("serve", "serve_with_ancillary"),
    # blocking transports
    "_hook_close_abruptly": ("close",),
    # backends
    "_hook_is_cancellation": ("get_cancelled_exc_class",),
    "_hook_is_cancelled": (),
}
"""The documented methods whose place each hook takes."""


def find_hook(obj: object, name: str) -> Any:
    """Return the hook *name* of *obj* as a plain function, to be called with *obj* first; None if its type has none."""
    return getattr(type(obj), name, None)


def drop_overridden_hooks(cls: type[Any]) -> None:
    """Remove the hooks from *cls*, a new class, that stand for a method which *cls* has from a more specific class."""
    for name, documented in STANDS_FOR.items():
        if getattr(cls, name, None) is not None:
            depth = _depth(cls, name)
            if any(_depth(cls, method) < depth for method in documented):
                setattr(cls, name, None)


def _depth(cls: type[Any], name: str) -> int:
    """Return how many classes of the method resolution order come before the one that defines *name*."""
    order = cls.__mro__
    return next((depth for depth, base in enumerate(order) if name in vars(base)), len(order))
