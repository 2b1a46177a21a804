"""A server, and what its clients say to it, through a proxy that does harm."""

from __future__ import annotations

__all__ = [
    "FAULTS",
    "HARMLESS",
    "QUESTIONS",
    "Answering",
    "check_answers",
    "client_tls",
    "deadline",
    "offsets",
    "server_tls",
]

import itertools
from typing import Any

from tests.support.certificates import the_certificates
from tests.support.fault_proxy import TO_CLIENT, TO_SERVER, Kind
from tests.support.sockets import PATIENCE
from tests.support.stream_servers import Client, Handler, Requests

QUESTIONS = [f"question {number} " + "x" * 100 for number in range(30)]

FAULTS: tuple[Kind, ...] = ("delay", "single bytes", "join", "reset", "black hole", "half-close", "corrupt")

HARMLESS = ("delay", "single bytes", "join")
"""What a network may do to a stream that is in order."""


def deadline(kind: Kind) -> float:
    """Return the timeout of every call and of every handshake, in seconds.

    Only a black hole lets a call wait for so long. Of a TLS close, this is the limit in every case.
    """
    return 0.5 if kind == "black hole" else PATIENCE


def offsets(direction: int, *, is_tls: bool) -> list[int]:
    """Return after how many bytes a fault begins: with TLS in the handshake, and in every case between packets."""
    if not is_tls:
        return [0, 5, 1000]
    return {TO_SERVER: [0, 100, 1500], TO_CLIENT: [0, 1000, 4000]}[direction]


def server_tls(deadline: float, *, is_tls: bool) -> dict[str, Any]:
    if not is_tls:
        return {}
    return {
        "ssl": the_certificates().server_context(),
        "ssl_handshake_timeout": deadline,
        "ssl_shutdown_timeout": deadline,
    }


def client_tls(deadline: float, *, is_tls: bool) -> dict[str, Any]:
    if not is_tls:
        return {}
    return {
        "ssl": the_certificates().client_context(),
        "server_hostname": "localhost",
        "ssl_handshake_timeout": deadline,
        "ssl_shutdown_timeout": deadline,
    }


class Answering(Handler):
    """Answers each question with itself.

    Parameters:
        deadline: seconds to wait for a question, and to send an answer.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline
        self.connected = 0

    async def on_connection(self, client: Client, /) -> None:
        self.connected += 1

    async def handle(self, client: Client, /) -> Requests:
        try:
            question = yield self._deadline
        except TimeoutError:
            await client.aclose()
        else:
            with client.backend().timeout(self._deadline):
                await client.send_packet(question)

    async def on_disconnection(self, client: Client, /) -> None:
        self.connected -= 1


def check_answers(answers: list[str], *, are_all: bool) -> None:
    """Check that *answers* are those to the first questions, or to all of them."""
    for question, answer in itertools.zip_longest(QUESTIONS[: len(answers)], answers):
        assert answer == question
    if are_all:
        assert answers == QUESTIONS
