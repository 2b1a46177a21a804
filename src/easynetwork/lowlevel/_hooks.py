"""Private hooks: faster replacements for documented methods in our own transports, listeners and backends.

A hook is a method whose name starts with ``_hook_``. `STANDS_FOR` lists the documented methods that each hook replaces.
Code that uses a hook looks it up with `find_hook` once per connection, never per packet, and falls back to a default
that uses documented methods only. Three rules ensure that any object with the documented methods works:

* Hooks are looked up on the *type* of an object. A mock made with ``spec=`` has every attribute of its specification;
  its type does not.
* The abstract classes do not define hooks. A user's subclass inherits none.
* An override of a documented method takes precedence. A class that overrides such a method loses the inherited hooks
  that replace it (`drop_overridden_hooks`), unless it defines them again. Therefore a class never calls its own hooks.

The ``_hooks`` modules of the transports (asynchronous and blocking) and of the backends contain one function per hook,
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
    "_hook_abort": ("aclose",),
    "_hook_close_soon": ("aclose",),
    "_hook_keep_names": ("extra_attributes",),
    "_hook_buffered_bytes": (),
    "_hook_innermost": (),
    "_hook_start_tls": (*_RECEIVING, *_SENDING, "is_closing", "aclose"),
    # stream listeners
    "_hook_set_admission": ("serve",),
    # datagram listeners
    "_hook_send_nowait": ("send_to",),
    "_hook_run_conversations": ("serve", "serve_with_ancillary"),
    # blocking transports
    "_hook_sender": (*_SENDING, "send", "send_noblock"),
    "_hook_close_abruptly": ("close",),
    # backends
    "_hook_is_cancellation": ("get_cancelled_exc_class",),
    "_hook_is_cancelled": (),
    "_hook_listen_stream": ("create_tcp_listeners", "create_unix_stream_listener"),
    "_hook_listen_datagram": ("create_udp_listeners", "create_unix_datagram_listener"),
}
"""The documented methods that each hook replaces."""


def find_hook(obj: object, name: str) -> Any:
    """Return the hook *name* of *obj* as a function that takes *obj* first, or None if its type has no such hook."""
    return getattr(type(obj), name, None)


def drop_overridden_hooks(cls: type[Any]) -> None:
    """Remove from the new class *cls* each hook whose documented methods come from a more derived class."""
    for name, documented in STANDS_FOR.items():
        if getattr(cls, name, None) is not None:
            depth = _depth(cls, name)
            if any(_depth(cls, method) < depth for method in documented):
                setattr(cls, name, None)


def _depth(cls: type[Any], name: str) -> int:
    """Return the index in the method resolution order of the class that defines *name*; its length if none does."""
    order = cls.__mro__
    return next((depth for depth, base in enumerate(order) if name in vars(base)), len(order))
