"""Record the functions of the library that one packet passes, in the order in which it enters them first.

``EASYNETWORK_PURE_PYTHON=1 python -m tests.docs.packet_paths`` prints them: the compiled module enters no functions.
It uses public names only, so it runs on other revisions as well: set ``PYTHONPATH`` to their ``src``.
"""

from __future__ import annotations

__all__ = ["PATHS", "files_of"]

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import uvloop
from tests.lowlevel.api_async.servers.pulling import PullingListener
from tests.support.certificates import the_certificates

import easynetwork
from easynetwork.clients.async_tcp import AsyncTCPNetworkClient
from easynetwork.lowlevel.api_async.servers.stream import AsyncStreamServer
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.line import StringLineSerializer
from easynetwork.servers.async_tcp import AsyncTCPNetworkServer
from easynetwork.servers.async_udp import AsyncUDPNetworkServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, AsyncStreamRequestHandler

PACKAGE: Final = f"{Path(easynetwork.__file__).parent}/"
PACKETS: Final = 3
"""The last one is recorded: everything has been used before."""

_EVENT_LOOP: Final = {"Handle._run", "Runner.run"}
"""The Python functions that run while an event loop calls back: asyncio's loop, and uvloop, which is written in C."""
_SENDING: Final = {"_SelectorSocketTransport.write", "PullingTransport.send_all"}
"""Where the path of an answer ends, besides `sendto()`."""


class _Recorder:
    """A function for `sys.setprofile`, which has one list of functions per callback of the event loop."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self._stream: list[list[str]] = [[]]

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self._enter(frame)
        elif event == "c_call" and arg.__name__ == "sendto":
            self.end()

    def _enter(self, frame: FrameType) -> None:
        code, caller = frame.f_code, frame.f_back
        if self._stream[-1] and caller is not None and caller.f_code.co_qualname in _EVENT_LOOP:
            if any(name.endswith(".send_packet") for name in self._stream[-1]):
                self.end()  # profilers do not see the calls of uvloop's transports: the path ends with the callback
            else:
                self._stream.append([])
        if code.co_filename.startswith(PACKAGE):
            function = code.co_qualname.partition(".<locals>")[0]  # an inner function counts as the outer one
            self._stream[-1].append(f"{code.co_filename.removeprefix(PACKAGE)}:{function}")
        elif code.co_qualname in _SENDING:
            self.end()

    def end(self, callbacks: int = 1) -> None:
        """Take as the path of a packet what was entered in the last *callbacks*, up to now."""
        passed = [name for names in self._stream[-callbacks:] for name in names]
        self.path = list(dict.fromkeys(passed))
        self._stream = [[]]


@contextlib.contextmanager
def _recording() -> Iterator[_Recorder]:
    recorder = _Recorder()
    sys.setprofile(recorder)
    try:
        yield recorder
    finally:
        sys.setprofile(None)


class _Looping(AsyncStreamRequestHandler[str, str]):
    """One generator for all requests of a connection."""

    async def handle(self, client: Any, /) -> AsyncGenerator[None, str]:
        while True:
            request = yield
            await client.send_packet(request)


class _OnePerRequest(AsyncStreamRequestHandler[str, str]):
    """One generator for each request."""

    async def handle(self, client: Any, /) -> AsyncGenerator[None, str]:
        request = yield
        await client.send_packet(request)


class _Datagrams(AsyncDatagramRequestHandler[str, str]):
    async def handle(self, client: Any, /) -> AsyncGenerator[None, str]:
        request = yield
        await client.send_packet(request)


async def _looping(client: Any) -> AsyncGenerator[None, str]:
    while True:
        request = yield
        await client.send_packet(request)


def _connect_tcp(address: tuple[Any, ...]) -> socket.socket:
    return socket.create_connection(address[:2])


def _connect_tls(address: tuple[Any, ...]) -> socket.socket:
    context = the_certificates().client_context()
    return context.wrap_socket(_connect_tcp(address), server_hostname="localhost")


def _connect_udp(address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(address[:2])
    return sock


def _ask(sock: socket.socket) -> None:
    question = b"question" if sock.type is socket.SOCK_DGRAM else b"question\n"
    sock.sendall(question)
    answer = sock.recv(100)
    assert answer == question


async def _asked(address: tuple[Any, ...], connect: Callable[[tuple[Any, ...]], socket.socket]) -> list[str]:
    """Connect and ask, in another thread. Return the path of the last question."""
    with _recording() as recorder, await asyncio.to_thread(connect, address) as sock:
        for _ in range(PACKETS):  # each in another turn of the event loop
            await asyncio.to_thread(_ask, sock)
        return recorder.path


@contextlib.asynccontextmanager
async def _in_task(coroutine: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _network_server(server: Any, connect: Callable[[tuple[Any, ...]], socket.socket]) -> list[str]:
    is_up = asyncio.Event()
    async with server, _in_task(server.serve_forever(is_up_event=is_up)):
        await is_up.wait()
        return await _asked(server.get_addresses()[0], connect)


async def _tcp(handler: AsyncStreamRequestHandler[str, str]) -> list[str]:
    protocol = StreamProtocol(StringLineSerializer())
    return await _network_server(AsyncTCPNetworkServer("127.0.0.1", 0, protocol, handler), _connect_tcp)


async def _tls() -> list[str]:
    protocol, context = StreamProtocol(StringLineSerializer()), the_certificates().server_context()
    server = AsyncTCPNetworkServer("127.0.0.1", 0, protocol, _Looping(), ssl=context)
    return await _network_server(server, _connect_tls)


async def _udp() -> list[str]:
    protocol = DatagramProtocol(StringLineSerializer())
    return await _network_server(AsyncUDPNetworkServer("127.0.0.1", 0, protocol, _Datagrams()), _connect_udp)


async def _pulled() -> list[str]:
    listener = PullingListener()
    server = AsyncStreamServer(listener, StreamProtocol(StringLineSerializer()), 1024)
    async with server, _in_task(server.serve(_looping)):
        return await _asked(listener.address, _connect_tcp)


async def _client() -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with AsyncTCPNetworkClient(listener.getsockname(), StreamProtocol(StringLineSerializer())) as client:
            peer, _ = listener.accept()
            with peer, _recording() as recorder:
                for _ in range(PACKETS):
                    asyncio.get_running_loop().call_later(0.01, peer.sendall, b"answer\n")
                    await client.recv_packet()
                    recorder.end(callbacks=2)  # that of the transport, then that of the task
                return recorder.path


PATHS: Final[dict[str, Callable[[], Coroutine[Any, Any, list[str]]]]] = {
    "tcp": lambda: _tcp(_Looping()),
    "tcp, one generator per request": lambda: _tcp(_OnePerRequest()),
    "tls": _tls,
    "pulled": _pulled,
    "datagram": _udp,
    "client": _client,
}
"""Each returns the functions that a packet enters."""


def files_of(path: Iterable[str]) -> list[str]:
    """Return the files in a path, in the order in which they are entered first."""
    return list(dict.fromkeys(name.partition(":")[0] for name in path))


def main() -> None:
    for name, record in PATHS.items():
        for new_event_loop in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                path = runner.run(record())
            loop = new_event_loop.__module__.partition(".")[0]
            if "--json" in sys.argv:
                sys.stdout.write(json.dumps([name, loop, path]) + "\n")
            else:
                sys.stdout.write(f"\n{name}, {loop}: {len(files_of(path))} files\n")
                sys.stdout.writelines(f"    {function}\n" for function in path)


if __name__ == "__main__":
    main()
