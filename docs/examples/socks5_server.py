"""Pass connections on, as a SOCKS 5 proxy: curl, browsers and ssh can connect through it.

After a few messages (RFC 1928 and RFC 1929), the proxy connects to the target that the client names. From then on, it
relays bytes in both directions, until both have ended.
"""

import argparse
import asyncio
import hmac
import ipaddress
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from enum import IntEnum

from easynetwork.clients import AsyncTCPNetworkClient
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import RawSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

PATIENCE = 30.0  # seconds
VERSION, LOGIN_VERSION = 5, 1
CONNECT = 1

TWO_BYTES: StreamProtocol[bytes, bytes] = StreamProtocol(RawSerializer(exactly=2))
ANY_BYTES: StreamProtocol[bytes, bytes] = StreamProtocol(RawSerializer())  # a packet is what has arrived


class Method(IntEnum):
    NO_LOGIN = 0
    PASSWORD = 2
    NONE = 0xFF


class AddressType(IntEnum):
    IPV4 = 1
    NAME = 3
    IPV6 = 4


class Status(IntEnum):
    SUCCEEDED = 0
    FAILURE = 1
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


class Refusal(Exception):
    """Ends a connection, after a last message to the client."""

    def __init__(self, message: bytes) -> None:
        super().__init__(message)
        self.message = message


class Proxy(AsyncStreamRequestHandler[bytes, bytes]):
    """Connect each client to the target that it names. If there is a login, the client has to know it."""

    def __init__(self, login: tuple[bytes, bytes] | None) -> None:
        self.login = login

    async def handle(self, client: AsyncStreamClient[bytes]) -> AsyncGenerator[float, bytes]:
        try:
            version, count = yield PATIENCE
            if version == VERSION:
                async with asyncio.timeout(PATIENCE):
                    await self.authenticate(client, methods=await receive(client, count))
                    host, port = await receive_request(client)
                async with await connect(host, port) as target:
                    ours = target.get_local_address()
                    await client.send_packet(reply(Status.SUCCEEDED, ours.host, ours.port))
                    await relay(client, target)
        except Refusal as refusal:
            await client.send_packet(refusal.message)
        except TimeoutError:
            pass
        await client.aclose()

    async def authenticate(self, client: AsyncStreamClient[bytes], methods: bytes) -> None:
        """Choose one of the methods that the client offers."""
        method = Method.NO_LOGIN if self.login is None else Method.PASSWORD
        if method not in methods:
            raise Refusal(bytes([VERSION, Method.NONE]))
        await client.send_packet(bytes([VERSION, method]))
        if self.login is not None:
            (version,) = await receive(client, 1)
            user = await receive_counted(client)
            password = await receive_counted(client)
            # Compare both, so that the time to refuse does not tell whether the user exists.
            is_known = hmac.compare_digest(user, self.login[0]) & hmac.compare_digest(password, self.login[1])
            if version != LOGIN_VERSION or not is_known:
                raise Refusal(bytes([LOGIN_VERSION, Status.FAILURE]))
            await client.send_packet(bytes([LOGIN_VERSION, Status.SUCCEEDED]))


async def receive(client: AsyncStreamClient[bytes], size: int) -> bytes:
    """Receive this number of bytes."""
    if size == 0:
        return b""
    return await client.set_protocol(StreamProtocol(RawSerializer(exactly=size))).recv_packet()


async def receive_counted(client: AsyncStreamClient[bytes]) -> bytes:
    """Receive bytes that follow their number."""
    (size,) = await receive(client, 1)
    return await receive(client, size)


async def receive_request(client: AsyncStreamClient[bytes]) -> tuple[str, int]:
    """Receive the request to connect. Return the host and the port."""
    version, command, _, address_type = await receive(client, 4)
    match address_type:
        case AddressType.IPV4:
            host = str(ipaddress.IPv4Address(await receive(client, 4)))
        case AddressType.IPV6:
            host = str(ipaddress.IPv6Address(await receive(client, 16)))
        case AddressType.NAME:
            host = (await receive_counted(client)).decode(errors="replace")
        case _:
            raise Refusal(reply(Status.ADDRESS_TYPE_NOT_SUPPORTED))
    port = int.from_bytes(await receive(client, 2))
    if version != VERSION:
        raise Refusal(reply(Status.FAILURE))
    if command != CONNECT:
        raise Refusal(reply(Status.COMMAND_NOT_SUPPORTED))
    return host, port


def reply(status: Status, host: str = "0.0.0.0", port: int = 0) -> bytes:
    """Return the reply to a request. The address is that from which the proxy has connected to the target."""
    address = ipaddress.ip_address(host)
    address_type = AddressType.IPV4 if address.version == 4 else AddressType.IPV6
    return bytes([VERSION, status, 0, address_type]) + address.packed + port.to_bytes(2)


async def connect(host: str, port: int) -> AsyncTCPNetworkClient[bytes, bytes]:
    """Connect to a target."""
    target = AsyncTCPNetworkClient((host, port), ANY_BYTES)
    status = Status.SUCCEEDED
    try:
        async with asyncio.timeout(PATIENCE):
            await target.wait_connected()
    except* ConnectionRefusedError:
        status = Status.CONNECTION_REFUSED
    except* (OSError, UnicodeError):  # no such host, no way to it, or nothing that can be the name of a host
        status = Status.HOST_UNREACHABLE
    if status is not Status.SUCCEEDED:
        raise Refusal(reply(status))
    return target


async def relay(client: AsyncStreamClient[bytes], target: AsyncTCPNetworkClient[bytes, bytes]) -> None:
    """Pass bytes on in both directions, until both have ended or a connection breaks."""
    tunnel = client.set_protocol(ANY_BYTES)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(target.recv_packet, tunnel.send_packet, tunnel.send_eof))
            await pump(tunnel.recv_packet, target.send_packet, target.send_eof)
    except* ConnectionError:
        pass  # one cannot receive any more: close both


async def pump(
    receive: Callable[[], Awaitable[bytes]],
    send: Callable[[bytes], Awaitable[None]],
    send_eof: Callable[[], Awaitable[None]],
) -> None:
    """Pass bytes on in one direction, until they end.

    While the receiver does not read, ``send`` waits and nothing is received: bytes do not pile up here.
    """
    while True:
        try:
            data = await receive()
        except ConnectionAbortedError:
            break
        await send(data)
    await send_eof()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1080)
    parser.add_argument("--user", help="the only user who may connect; without this, everybody may")
    parser.add_argument("--password", default="")
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    proxy = Proxy((options.user.encode(), options.password.encode()) if options.user else None)
    with StandaloneTCPNetworkServer(options.host, options.port, TWO_BYTES, proxy) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
