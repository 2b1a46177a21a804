"""Happy Eyeballs (:rfc:`8305`): connecting to several addresses at once, a little after one another."""

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
    """Returns a socket that is connected to the first of *addresses* that answers.

    Parameters:
        backend: runs the attempts.
        addresses: what the host was resolved to.
        local_addresses: what to bind the socket to, see `open_client_socket`.
        delay: seconds before the next attempt begins, if the one before has not ended by then.
        connect: connects a socket to an address.

    Raises:
        ExceptionGroup: the `OSError` of each attempt.
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
        for sock in connected:  # those that were second, or are not wanted any more
            sock.close()
