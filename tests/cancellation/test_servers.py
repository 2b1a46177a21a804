"""Cancel the calls of servers at each of their suspensions."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator
from functools import partial

import pytest
from tests.servers.kinds import KINDS, Kind, Server, Service
from tests.support.background import Running, spawn, until
from tests.support.datagram_servers import has_unix_datagrams
from tests.support.interruptions import Interruption, swept

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

EVERY_BACKEND = True


@pytest.fixture(params=KINDS)
def new_kind(request: pytest.FixtureRequest, backend: AsyncBackend, tmp_path: pathlib.Path) -> partial[Kind]:
    if request.param == "unix-datagram" and not has_unix_datagrams(backend):
        pytest.skip("this backend has no Unix datagrams")
    return partial(Kind, request.param, backend, tmp_path)


@contextlib.asynccontextmanager
async def running(kind: Kind, server: Server) -> AsyncIterator[Running[None]]:
    """Serve during the block."""
    is_up = kind.backend.create_event()
    task = spawn(server.serve_forever(is_up_event=is_up))
    await until(lambda: is_up.is_set() or task.done())
    try:
        yield task
    finally:
        await server.shutdown()
        await task.result()
        kind.hang_up()


async def check_serves(kind: Kind, server: Server) -> None:
    """Check that *server* can serve now, and close it."""
    async with running(kind, server):
        assert await kind.is_served(server)
    await server.server_close()


def remove_names_of_peers(kind: Kind) -> None:
    for path in pathlib.Path(kind.path).parent.iterdir():
        path.unlink()


@swept
async def test_a_cancelled_activation_may_be_repeated(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    server = kind.new_server()
    outcome = await interrupt(server.server_activate())
    assert server.is_listening() is not outcome.cancelled
    await server.server_activate()
    assert server.is_listening()
    await check_serves(kind, server)
    remove_names_of_peers(kind)


@swept
async def test_others_activate_after_a_cancelled_activation(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    server = kind.new_server()
    other = spawn(server.server_activate())
    await interrupt(server.server_activate())
    await other.result()
    assert server.is_listening()
    await server.server_close()


@swept
async def test_a_cancelled_server_serves_again(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    service: Service = kind.new_service()
    server = kind.new_server(service)
    is_up = kind.backend.create_event()

    async def use_and_shut_down() -> None:
        await is_up.wait()
        with contextlib.suppress(OSError, IndexError):  # a cancelled server does not answer
            await kind.is_served(server)
        await server.shutdown()

    using = spawn(use_and_shut_down())
    await interrupt(server.serve_forever(is_up_event=is_up))
    using.cancel()
    await using.wait()
    assert not server.is_serving()
    assert service.diary in ([], ["init", "exit"])
    await check_serves(kind, server)
    assert not server.get_addresses()
    remove_names_of_peers(kind)


@swept
async def test_a_cancelled_server_with_a_busy_client_serves_again(
    interrupt: Interruption, new_kind: partial[Kind]
) -> None:
    kind = new_kind()
    service: Service = kind.new_service()
    service.go_on = kind.backend.create_event()
    server = kind.new_server(service)
    is_up = kind.backend.create_event()

    async def keep_busy_and_shut_down() -> None:
        await is_up.wait()
        with contextlib.suppress(OSError, IndexError):
            kind.send(kind.connect(server), "wait")
            await until(lambda: "waiting" in service.diary)
        await server.shutdown()

    using = spawn(keep_busy_and_shut_down())
    await interrupt(server.serve_forever(is_up_event=is_up))
    using.cancel()
    await using.wait()
    assert service.diary.count("waiting") == service.diary.count("cancelled")
    await check_serves(kind, server)
    remove_names_of_peers(kind)


@swept
async def test_a_cancelled_shutdown_may_be_repeated(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    service: Service = kind.new_service()
    service.go_on = kind.backend.create_event()
    server = kind.new_server(service)
    async with running(kind, server) as task:
        kind.send(kind.connect(server), "wait")
        await until(lambda: "waiting" in service.diary)
        await interrupt(server.shutdown())
        await server.shutdown()
        await task.result()
        assert service.diary == ["init", "waiting", "cancelled", "exit"]
    await check_serves(kind, server)
    remove_names_of_peers(kind)


@swept
async def test_a_cancelled_close_closes(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    server = kind.new_server()
    await server.server_activate()
    await interrupt(server.server_close())
    assert not server.is_listening()
    assert not server.get_addresses()
    with pytest.raises(ServerClosedError):
        await server.serve_forever()
    await server.server_close()
    again = kind.new_server()
    await check_serves(kind, again)
    remove_names_of_peers(kind)


@swept
async def test_a_cancelled_close_lets_the_serving_end(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    server = kind.new_server()
    async with running(kind, server) as task:
        await kind.is_served(server)
        kind.hang_up()
        await interrupt(server.server_close())
        assert not server.is_listening()
        await task.result()
    remove_names_of_peers(kind)


@swept
async def test_a_cancelled_close_ends_an_activation(interrupt: Interruption, new_kind: partial[Kind]) -> None:
    kind = new_kind()
    server = kind.new_server()
    activation = spawn(server.server_activate())
    await interrupt(server.server_close())
    await activation.wait()
    assert activation.error is None or isinstance(activation.error, ServerClosedError)
    assert not server.is_listening()
    with pytest.raises(ServerClosedError):
        await server.server_activate()
    await server.server_close()
    remove_names_of_peers(kind)
