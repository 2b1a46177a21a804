"""Find the private hooks of backends. :mod:`easynetwork.lowlevel._hooks` explains the lookup."""

from __future__ import annotations

__all__ = ["cancellation_detector", "datagram_listener_factory", "is_cancelled", "stream_listener_factory"]

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel._hooks import find_hook

if TYPE_CHECKING:
    import socket as _socket

    from .api_async.backend.abc import AsyncBackend
    from .api_async.transports.abc import AsyncDatagramListener, AsyncListener, AsyncStreamTransport


def cancellation_detector(backend: AsyncBackend) -> Callable[[BaseException], bool]:
    """Return a predicate: does an exception raised in the current task come from a cancellation of that task?

    The exception type alone does not answer this: awaiting another task that was cancelled raises the same type.
    Without a hook, the predicate checks only the type.
    """
    hook = find_hook(backend, "_hook_is_cancellation")
    if hook is None:
        return lambda exc: isinstance(exc, backend.get_cancelled_exc_class())
    detect: Callable[[BaseException], bool] = hook.__get__(backend)
    return detect


def is_cancelled(backend: AsyncBackend) -> bool:
    """Return whether the current task is cancelled and must not start new work. Without a hook, return false."""
    hook = find_hook(backend, "_hook_is_cancelled")
    return hook is not None and hook(backend)


def stream_listener_factory(
    backend: AsyncBackend,
) -> Callable[[_socket.socket, int], AsyncListener[AsyncStreamTransport]]:
    """Return a function that makes a listener, which owns its socket, of a listening socket and its backlog.

    The socket is non-blocking. Its family is ``AF_INET``, ``AF_INET6`` or ``AF_UNIX``. The event loop must run.

    Raises:
        UnsupportedOperation: the backend has no such hook. No documented method does the same.
    """
    return _listener_factory(backend, "_hook_listen_stream")


def datagram_listener_factory(backend: AsyncBackend) -> Callable[[_socket.socket], AsyncDatagramListener[Any]]:
    """Return a function that makes a listener, which owns its socket, of a bound socket. As `stream_listener_factory`.

    Raises:
        UnsupportedOperation: the backend has no such hook. No documented method does the same.
    """
    return _listener_factory(backend, "_hook_listen_datagram")


def _listener_factory(backend: AsyncBackend, name: str) -> Callable[..., Any]:
    hook = find_hook(backend, name)
    if hook is None:
        raise UnsupportedOperation(
            f"{type(backend).__name__} cannot serve sockets that exist already: "
            "only the built-in backends can, and subclasses that open listeners as these do"
        )
    factory: Callable[..., Any] = hook.__get__(backend)
    return factory
