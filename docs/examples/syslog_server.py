"""Collect the messages of syslog over UDP, TCP and TLS, and print each as one line of JSON."""

import argparse
import asyncio
import json
import logging
import re
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from typing import Never

from easynetwork.exceptions import DeserializeError, StreamProtocolParseError
from easynetwork.protocol import DatagramProtocol, StreamProtocol
from easynetwork.serializers.abc import AbstractPacketSerializer
from easynetwork.serializers.framing import CutFrames, FramedPacketSerializer, OctetCountedFrames, parse_decimal
from easynetwork.serializers.wrapper import FramedSerializer
from easynetwork.servers import AsyncTCPNetworkServer, AsyncUDPNetworkServer
from easynetwork.servers.abc import AbstractAsyncNetworkServer
from easynetwork.servers.handlers import (
    AsyncBaseClientInterface,
    AsyncDatagramClient,
    AsyncDatagramRequestHandler,
    AsyncStreamClient,
    AsyncStreamRequestHandler,
    INETClientAttribute,
)

LIMIT = 16 * 1024  # bytes per message in a stream
DIGITS = b"123456789"

FACILITIES = ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"]
FACILITIES += ["ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8))]
SEVERITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
USER_NOTICE = 13  # the priority of a message without one

PRIORITY = re.compile(r"<(0|[1-9][0-9]{0,2})>")
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
OLD_TIME = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"
RFC_5424 = re.compile(rf"1 (-|{TIME}) ([!-~]{{1,255}}) ([!-~]{{1,48}}) ([!-~]{{1,128}}) ([!-~]{{1,32}}) ")
RFC_3164 = re.compile(rf"({OLD_TIME}|{TIME}) ([!-~]+) (?:([^\s:[]{{1,48}})(?:\[([^\s\]]*)\])?: ?)?")

NAME = r"[!#-<>-\\^-~]{1,32}"
PARAMETER = rf' ({NAME})="((?:[^"\\\]]|\\.)*)"'
ELEMENT = rf"\[({NAME})((?:{PARAMETER})*)\]"
STRUCTURED_DATA = re.compile(rf"(?:-|(?:{ELEMENT})+)(?= |\Z)", re.DOTALL)
ESCAPED = re.compile(r'\\(["\\\]])')


@dataclass
class Message:
    facility: str
    severity: str
    text: str
    time: str | None = None
    """As the sender wrote it. In the format of RFC 3164, it has neither a year nor a time zone."""
    host: str | None = None
    app: str | None = None
    process: str | None = None
    message_id: str | None = None
    data: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """The structured data of RFC 5424: for each identifier, pairs of a name and a value. Names may repeat."""


def parse_message(data: bytes) -> Message:
    """Return the message in *data*. Everything that is not in the format of RFC 5424 or RFC 3164 is text."""
    text = data.removesuffix(b"\n").decode("utf-8", "backslashreplace")
    priority = USER_NOTICE
    if (found := PRIORITY.match(text)) and int(found[1]) < 8 * len(FACILITIES):
        priority = int(found[1])
        text = text[found.end() :]
    message = Message(FACILITIES[priority // 8], SEVERITIES[priority % 8], text)
    if found := RFC_5424.match(text):
        message.time, message.host, message.app, message.process, message.message_id = (
            None if value == "-" else value for value in found.groups()
        )
        message.data, text = parse_structured_data(text[found.end() :])
        message.text = text.removeprefix("\ufeff")
    elif found := RFC_3164.match(text):
        message.time, message.host, message.app, message.process = found.groups()
        message.text = text[found.end() :]
    return message


def parse_structured_data(text: str) -> tuple[dict[str, list[tuple[str, str]]], str]:
    """Return the structured data at the start of *text*, and the text after it. Invalid data is text."""
    found = STRUCTURED_DATA.match(text)
    if found is None:
        return {}, text
    elements = {
        identifier: [(name, ESCAPED.sub(r"\1", value)) for name, value in re.findall(PARAMETER, parameters, re.DOTALL)]
        for identifier, parameters, *_ in re.findall(ELEMENT, found[0], re.DOTALL)
    }
    return elements, text[found.end() + 1 :]


class MessageSerializer(AbstractPacketSerializer[Never, Message]):
    """Receives messages. The server sends none."""

    def serialize(self, packet: Never, /) -> bytes:
        raise NotImplementedError

    def deserialize(self, data: bytes, /) -> Message:
        return parse_message(data)


class MessageOrLineSerializer(FramedPacketSerializer[Never, Message]):
    """Finds messages in a TCP stream: lines, or messages after their size. The first byte tells which (RFC 6587)."""

    def frame_format(self) -> CutFrames:
        return CutFrames(cut, LIMIT)

    def serialize(self, packet: Never, /) -> bytes:
        raise NotImplementedError

    def deserialize(self, data: bytes, /) -> Message:
        return parse_message(data.partition(b" ")[2] if data[0] in DIGITS else data)


def cut(data: bytes, start: int) -> int:
    """Return the end of the message that begins at *start*, or 0 if that is unknown yet."""
    if data[start] not in DIGITS:
        return data.find(b"\n", start) + 1
    space = data.find(b" ", start, start + 10)
    if space < 0:
        if len(data) - start >= 10:
            raise DeserializeError("expected the size of a message")
        return 0
    return space + 1 + parse_decimal(data[start:space])


def show(message: Message, client: AsyncBaseClientInterface[Never]) -> None:
    address = client.extra(INETClientAttribute.remote_address)
    # JSON escapes everything that could control the terminal or look like another message.
    print(json.dumps({"sender": address.host, **asdict(message)}), flush=True)


class DatagramCollector(AsyncDatagramRequestHandler[Message, Never]):
    async def handle(self, client: AsyncDatagramClient[Never]) -> AsyncGenerator[None, Message]:
        message = yield
        show(message, client)


class StreamCollector(AsyncStreamRequestHandler[Message, Never]):
    async def handle(self, client: AsyncStreamClient[Never]) -> AsyncGenerator[None, Message]:
        while True:
            try:
                message = yield
            except StreamProtocolParseError as error:
                # After a wrong size over TCP, the server closes the connection at the next yield.
                logging.warning("%s: %s", client.extra(INETClientAttribute.remote_address), error)
            else:
                show(message, client)


async def serve(host: str, port: int, tls_port: int, tls: ssl.SSLContext | None) -> None:
    messages = MessageSerializer()
    tcp_protocol = StreamProtocol(MessageOrLineSerializer())
    servers: list[AbstractAsyncNetworkServer] = [
        AsyncUDPNetworkServer(
            host, port, DatagramProtocol(messages), DatagramCollector(), logger=logging.getLogger("syslog.udp")
        ),
        AsyncTCPNetworkServer(host, port, tcp_protocol, StreamCollector(), logger=logging.getLogger("syslog.tcp")),
    ]
    if tls is not None:
        tls_protocol = StreamProtocol(FramedSerializer(messages, OctetCountedFrames(LIMIT)))
        servers.append(
            AsyncTCPNetworkServer(
                host, tls_port, tls_protocol, StreamCollector(), ssl=tls, logger=logging.getLogger("syslog.tls")
            )
        )
    async with AsyncExitStack() as sockets, asyncio.TaskGroup() as tasks:
        for server in servers:
            await sockets.enter_async_context(server)
            tasks.create_task(server.serve_forever())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5140, help="for UDP and TCP")
    parser.add_argument("--tls-port", type=int, default=6514)
    parser.add_argument("--certificate", help="file with the server's certificate; without it, there is no TLS")
    parser.add_argument("--key", help="file with its private key, if that is another file")
    parser.add_argument("--trust", help="file with the authorities that senders need a certificate from")
    options = parser.parse_args()

    tls = None
    if options.certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # settings for a server
        tls.load_cert_chain(options.certificate, options.key)
        if options.trust is not None:
            tls.load_verify_locations(options.trust)
            tls.verify_mode = ssl.CERT_REQUIRED
    logging.basicConfig(level=logging.INFO)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options.host, options.port, options.tls_port, tls))


if __name__ == "__main__":
    main()
