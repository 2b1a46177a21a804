"""Receive mails by SMTP, with STARTTLS (RFC 5321, RFC 3207). Show them, or store them in a Maildir.

No mail is sent on, so this is for tests of programs that send mail.
"""

import argparse
import asyncio
import logging
import mailbox
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from email.utils import formatdate

from smtp import SIZE_LIMIT, Session

from easynetwork.exceptions import StreamProtocolParseError
from easynetwork.protocol import StreamProtocol
from easynetwork.serializers import RawSerializer, StringLineSerializer
from easynetwork.serializers.framing import SeparatedFrames
from easynetwork.serializers.wrapper import FramedSerializer
from easynetwork.servers import StandaloneTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler, INETClientAttribute

PATIENCE = 300.0  # seconds
COMMAND_LIMIT = 512 + 26 + 17  # bytes: RFC 5321, and the parameters SIZE (RFC 1870) and BODY (RFC 6152)
LINE_LIMIT = 1000 + 1  # with a dot that only protects another one

# Only CR LF ends a line. A server that takes a lone LF for an end lets senders smuggle mails in (CVE-2023-51764).
COMMANDS: StreamProtocol[str, str] = StreamProtocol(StringLineSerializer("CRLF", limit=COMMAND_LIMIT - 2))
LINES: StreamProtocol[bytes, bytes] = StreamProtocol(
    FramedSerializer(RawSerializer(), SeparatedFrames(b"\r\n", LINE_LIMIT - 2))
)


class MailServer(AsyncStreamRequestHandler[str, str]):
    """Give each mail to a function, which runs in a thread."""

    def __init__(self, name: str, store: Callable[[bytes], object], tls: ssl.SSLContext | None) -> None:
        self.name = name
        self.store = store
        self.tls = tls
        self.storing = asyncio.Lock()

    async def on_connection(self, client: AsyncStreamClient[str]) -> None:
        await client.send_packet(f"220 {self.name} ESMTP")

    async def handle(self, client: AsyncStreamClient[str]) -> AsyncGenerator[float, str]:
        session = Session(self.name, offers_tls=self.tls is not None)
        reply = ""
        while not reply.startswith(("221", "421")):
            try:
                line = yield PATIENCE
                reply = session.reply_to(line)
            except StreamProtocolParseError:
                reply = f"500 A command has at most {COMMAND_LIMIT} bytes of ASCII"
            except TimeoutError:
                reply = "421 Too slow"
            await client.send_packet(reply)
            if reply.startswith("354"):
                reply = await self.receive_mail(client.set_protocol(LINES), session)
                await client.set_protocol(COMMANDS).send_packet(reply)
            elif reply.startswith("220") and self.tls is not None:
                await client.start_tls(self.tls)
                session = Session(self.name, offers_tls=True, is_encrypted=True)
        await client.aclose()

    async def receive_mail(self, client: AsyncStreamClient[bytes, bytes], session: Session) -> str:
        """Receive the mail that follows DATA, and store it. Return the reply."""
        mail = bytearray(self.headers(client, session))
        size = 0
        reply = "250 OK"
        while True:
            try:
                line = await client.recv_packet(timeout=PATIENCE)
            except StreamProtocolParseError:
                reply = "500 Line too long"
                continue
            except TimeoutError:
                return "421 Too slow"
            if line == b".":
                break
            line = line.removeprefix(b".")
            size += len(line) + 2
            if b"\r" in line or b"\n" in line:
                reply = "554 CR and LF are allowed at the ends of lines only, and only together"
            elif size > SIZE_LIMIT:
                reply = f"552 The limit is {SIZE_LIMIT} bytes"
            else:
                mail += line + b"\n"
        session.reset()
        if reply.startswith("250"):
            try:
                async with self.storing:
                    await asyncio.to_thread(self.store, bytes(mail))
            except OSError as error:
                logging.error("A mail cannot be stored: %s", error)
                reply = "452 The mail cannot be stored"
        return reply

    def headers(self, client: AsyncStreamClient[bytes, bytes], session: Session) -> bytes:
        origin = f"{session.client_name} ([{client.extra(INETClientAttribute.remote_address).host}])"
        lines = [f"Return-Path: <{session.sender}>", *(f"Delivered-To: {name}" for name in session.recipients)]
        lines += [f"Received: from {origin} by {self.name} with {session.protocol}; {formatdate()}", ""]
        return "\n".join(lines).encode()


def show(mail: bytes) -> None:
    """Print a mail. Escape what a terminal may take for a command."""
    for line in mail.split(b"\n"):
        print(line.decode("latin-1").encode("unicode_escape").decode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Receive mails by SMTP. Show them, or store them in a Maildir.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2525)
    parser.add_argument("--name", default=socket.gethostname(), help="what the server calls itself")
    parser.add_argument("--directory", help="the Maildir")
    parser.add_argument("--certificate", help="file with the server's certificate: offer STARTTLS")
    parser.add_argument("--key", help="file with its private key, if that is in another file")
    options = parser.parse_args()

    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # settings for a server
        tls.load_cert_chain(options.certificate, options.key)
    store = mailbox.Maildir(options.directory).add if options.directory else show

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    service = MailServer(options.name, store, tls)
    with StandaloneTCPNetworkServer(options.host, options.port, COMMANDS, service) as server:
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
