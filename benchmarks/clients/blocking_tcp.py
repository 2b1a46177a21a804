"""The blocking client of EasyNetwork: `TCPNetworkClient`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.clients.harness import HOST, LINE, check, main
from benchmarks.servers.packets import line_protocol
from easynetwork.clients.tcp import TCPNetworkClient


class BlockingClient:
    __slots__ = ("client",)

    def __init__(self, client: TCPNetworkClient[str, str]) -> None:
        self.client = client

    def ping(self, count: int) -> None:
        client = self.client
        for _ in range(count):
            client.send_packet(LINE)
            answer = client.recv_packet()
        check(answer, LINE)

    def send(self, count: int) -> None:
        client = self.client
        for _ in range(count):
            client.send_packet(LINE)
        check(client.recv_packet(), LINE)

    def receive(self, count: int) -> None:
        client = self.client
        for _ in range(count):
            line = client.recv_packet()
        check(line, LINE)


@contextmanager
def connect(port: int) -> Iterator[BlockingClient]:
    with TCPNetworkClient((HOST, port), line_protocol("stream")) as client:
        yield BlockingClient(client)


if __name__ == "__main__":
    main(connect)
