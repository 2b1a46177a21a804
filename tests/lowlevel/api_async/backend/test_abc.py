"""What the base class of backends does itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend, Task, TaskGroup

EVERY_BACKEND = True


@pytest.mark.parametrize(
    "create",
    [
        lambda backend: AsyncBackend.create_unix_stream_connection(backend, "/s"),
        lambda backend: AsyncBackend.create_unix_stream_listener(backend, "/s", 5),
        lambda backend: AsyncBackend.create_unix_datagram_endpoint(backend, "/s"),
        lambda backend: AsyncBackend.create_unix_datagram_listener(backend, "/s"),
    ],
)
async def test_a_backend_need_not_have_unix_sockets(
    backend: AsyncBackend, create: Callable[[AsyncBackend], Awaitable[object]]
) -> None:
    with pytest.raises(NotImplementedError):
        await create(backend)


@pytest.mark.parametrize("cls", [AsyncBackend, Task, TaskGroup])
def test_an_interface_cannot_be_instantiated(cls: type[object]) -> None:
    with pytest.raises(TypeError):
        cls()
