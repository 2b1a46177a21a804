"""Blocking clients under load: each runs in two threads."""

from __future__ import annotations

__all__ = ["open_blocking_client"]

import asyncio
import threading
import time
from array import array
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from easynetwork.cli.demo.load_client import SECONDS_TO_CLOSE, LoadClient, reason
from easynetwork.cli.demo.transport import Address, Transport
from easynetwork.cli.demo.workload import PacketMaker, Workload
from easynetwork.exceptions import BaseProtocolParseError

_SECONDS_BETWEEN_LOOKS = 0.1
"""How long a thread waits before it checks whether to stop."""


@asynccontextmanager
async def open_blocking_client(
    transport: Transport,
    address: Address,
    workload: Workload,
    make_packet: PacketMaker,
    share: int,
    latencies: array[float],
) -> AsyncIterator[LoadClient]:
    """Connect a client, and disconnect it at the end of the context.

    Raises:
        OSError: the client cannot connect. TCP and UDP raise a group of OSErrors.
    """
    protocol = transport.protocol(workload.frame_limit)
    with ThreadPoolExecutor(2) as threads, transport.blocking_client(address, protocol) as connection:
        yield _BlockingClient(threads, transport, connection, make_packet, share, workload.in_flight, latencies)


class _BlockingClient(LoadClient):
    __slots__ = ("_is_stopped", "_threads", "_window")

    def __init__(self, threads: ThreadPoolExecutor, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._threads = threads
        self._is_stopped = False
        self._window = threading.Semaphore(self._in_flight)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        halves = [loop.run_in_executor(self._threads, half) for half in (self._send, self._receive)]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            self._is_stopped = True
            await asyncio.wait(halves)
        errors = [error for half in halves if (error := half.exception()) is not None]
        for error in errors:
            if not isinstance(error, OSError):
                raise error
            self.failure = reason(error)

    def _send(self) -> None:
        for number in range(self._share):
            while not self._window.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
                if self._is_stopped:
                    return
            if self._is_stopped:
                return
            self._connection.send_packet(self._next_packet(number), timeout=SECONDS_TO_CLOSE)

    def _receive(self) -> None:
        while not (self.checker.complete or self._is_stopped):
            try:
                answer = self._connection.recv_packet(timeout=_SECONDS_BETWEEN_LOOKS)
            except TimeoutError:
                continue
            except BaseProtocolParseError:
                self.checker.undecodable()
                continue
            if self._take(answer):
                self._window.release()

    async def finish(self) -> None:
        if self.checker.complete:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._finish)

    def _finish(self) -> None:
        deadline = time.monotonic() + self._seconds_to_finish
        try:
            if self._has_half_close:
                self._connection.send_eof()
            while True:
                self._take(self._connection.recv_packet(timeout=max(deadline - time.monotonic(), 0.0)))
        except TimeoutError:
            self._not_closed_in_time()
        except ConnectionError:
            pass  # the expected end
