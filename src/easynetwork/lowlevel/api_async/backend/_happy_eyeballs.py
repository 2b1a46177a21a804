"""Happy Eyeballs (:rfc:`8305`): staggered connection attempts to several addresses."""

from __future__ import annotations

__all__ = ["connect_to_first"]

import socket as _socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from easynetwork.lowlevel._sockets.inet import AddressInfo, interleave_families, open_client_socket

if TYPE_CHECKING:
    from .abc import AsyncBackend, IEvent


async def connect_to_first(
    backend: AsyncBackend,
    addresses: Sequence[AddressInfo],
    local_addresses: Sequence[AddressInfo] | None,
    delay: float,
    connect: Callable[[_socket.socket, Any], Awaitable[None]],
) -> _socket.socket:
    """Return a socket connected to the first of *addresses* that answers.

    Parameters:
        backend: runs the attempts.
        addresses: the addresses that the host resolved to.
        local_addresses: the addresses to bind the socket to; see `open_client_socket`.
        delay: seconds to wait for one attempt before the next one starts too.
        connect: connects a socket to an address.

    Raises:
        ExceptionGroup: every attempt failed; contains the `OSError` of each.
    """
    connected: list[_socket.socket] = []
    errors: list[OSError] = []

    async def attempt(info: AddressInfo, ended: IEvent) -> None:
        sock = open_client_socket(info, local_addresses, errors)
        if sock is not None:
            try:
                await connect(sock, info[4])
            except OSError as exc:
                sock.close()
                errors.append(exc)
            except BaseException:
                sock.close()
                raise
            else:
                connected.append(sock)
                race.cancel()
        ended.set()

    try:
        with backend.open_cancel_scope() as race:
            async with backend.create_task_group() as attempts:
                for info in interleave_families(addresses):
                    ended = backend.create_event()
                    attempts.start_soon(attempt, info, ended)
                    with backend.move_on_after(delay):
                        await ended.wait()
        if not connected:
            raise ExceptionGroup("No address can be connected to", errors)
        return connected.pop(0)
    finally:
        for sock in connected:  # late winners, or all if the caller was cancelled
            sock.close()
