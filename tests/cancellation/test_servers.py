"""Cancel the calls of servers at each of their suspensions."""

from __future__ import annotations

import contextlib
import pathlib
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest
from tests.servers.kinds import KINDS, Kind, Server, Service
from tests.support.background import Running, sleep, spawn, until
from tests.support.certificates import the_certificates
from tests.support.datagram_servers import Client as DatagramClient
from tests.support.datagram_servers import Handler as DatagramHandler
from tests.support.datagram_servers import Requests, has_unix_datagrams
from tests.support.datagram_servers import serving as serving_datagrams
from tests.support.interruptions import Interruption, swept
from tests.support.lines import line_protocol
from tests.support.stream_servers import Handler
from tests.support.tls_servers import TLSClient

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend
from easynetwork.lowlevel.socket import SocketAttribute
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer

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


# ----------------------------------------------------------------------------------------------------------------- TLS


@swept
async def test_a_cancelled_tls_server_with_a_handshake_serves_again(
    interrupt: Interruption, backend: AsyncBackend
) -> None:
    server: AsyncTCPNetworkServer[str, str] = AsyncTCPNetworkServer(
        "127.0.0.1", 0, line_protocol(), Handler(), backend, ssl=the_certificates().server_context()
    )
    is_up = backend.create_event()

    async def use_and_shut_down() -> None:
        await is_up.wait()
        with contextlib.suppress(OSError, EOFError, IndexError):
            [address] = server.get_addresses()
            with socket.create_connection((address.host, address.port)):  # a client that says nothing
                await ask(address.host, address.port)
        await server.shutdown()

    async def ask(host: str, port: int) -> None:
        client = TLSClient(socket.create_connection((host, port)), the_certificates().client_context())
        with contextlib.closing(client):
            await client.below.handshake()
            assert await client.ask(b"hello") == b"hello"

    using = spawn(use_and_shut_down())
    await interrupt(server.serve_forever(is_up_event=is_up))
    using.cancel()
    await using.wait()
    is_up = backend.create_event()
    serving = spawn(server.serve_forever(is_up_event=is_up))
    await is_up.wait()
    [address] = server.get_addresses()
    await ask(address.host, address.port)
    await server.shutdown()
    await serving.result()
    await server.server_close()


# ----------------------------------------------------------------------------------------------------------- datagrams


@pytest.mark.parametrize("calls", ["send_packet", "yield"])
@swept
async def test_a_handler_of_datagrams_goes_on_after_a_cancelled_call(
    interrupt: Interruption, backend: AsyncBackend, calls: str
) -> None:
    class Cancelling(DatagramHandler):
        async def handle(self, client: DatagramClient, /) -> Requests:
            request = yield None
            if calls == "send_packet":
                await interrupt(client.send_packet("?"))
            elif not interrupt.suspensions:
                interrupt.suspensions += 1
                with backend.move_on_after(0.001 * interrupt.nth):
                    request = yield None
            await client.send_packet(request)

    if calls == "yield" and interrupt.nth > 3:
        return
    async with serving_datagrams(backend, Cancelling()) as it:
        peer = it.peer()
        peer.send(b"first")
        while (answer := await peer.receive()) == b"?":
            pass
        assert answer == b"first"
        assert await peer.ask(b"second") in (b"second", b"?")


@swept
async def test_a_cancelled_listener_of_datagrams_loses_none(interrupt: Interruption, backend: AsyncBackend) -> None:
    [listener] = await backend.create_udp_listeners("127.0.0.1", 0)
    received: list[bytes] = []

    async def note(data: bytes, address: object) -> None:
        received.append(data)

    async with listener:
        stop = backend.open_cancel_scope()

        async def serve() -> None:
            with stop:
                await listener.serve(note)

        async def send_and_stop() -> None:
            peer.sendto(b"first", listener.extra(SocketAttribute.sockname))
            await sleep(0.002)
            stop.cancel()

        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            sending = spawn(send_and_stop())
            await interrupt(serve())
            await sending.result()
            peer.sendto(b"second", listener.extra(SocketAttribute.sockname))
            serving = spawn(listener.serve(note))
            await until(lambda: b"second" in received)
            assert received == [b"first", b"second"]
            serving.cancel()
            await serving.wait()
