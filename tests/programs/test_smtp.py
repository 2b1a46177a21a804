"""The mail server of docs/examples, with smtplib and swaks, and with plain sockets for what these do not send."""

from __future__ import annotations

import mailbox
import random
import shutil
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.support.certificates import the_certificates
from tests.support.programs import SECONDS_TO_END, Example, example, needs_program
from tests.support.sockets import PATIENCE

SIZE_LIMIT = 10 * 1024 * 1024
LARGEST = (b"x" * 998 + b"\r\n") * (SIZE_LIMIT // 1000) + b"x" * (SIZE_LIMIT % 1000 - 2) + b"\r\n"
FROM, TO = "ada@example.org", "bob@example.net"
ENVELOPE = f"EHLO me\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\nDATA\r\n".encode()


class MailServer:
    """The program that runs, and the Maildir where it stores what it receives."""

    def __init__(self, program: Example, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.port = program.port

    def mails(self) -> list[bytes]:
        """Return all mails, without what the server adds in front of them, and delete them."""
        return [text.partition(b"\nReceived: ")[2].partition(b"\n")[2] for text in self.stored()]

    def stored(self) -> list[bytes]:
        """Return all mails as they are stored, and delete them."""
        maildir = mailbox.Maildir(self.folder, create=False)
        texts = [maildir.get_bytes(key) for key in maildir.iterkeys()]
        maildir.clear()
        return texts


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    folder = tmp_path_factory.mktemp("mail") / "box"
    with the_certificates().server_file() as certificate:
        options = ["--directory", str(folder), "--certificate", certificate, "--name", "localhost"]
        with example("smtp_server.py", *options) as program:
            yield MailServer(program, folder)


@pytest.fixture
def server(running_server: MailServer) -> MailServer:
    running_server.stored()
    return running_server


@pytest.fixture
def smtp(server: MailServer) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", server.port, "client.example", timeout=PATIENCE) as smtp:
        yield smtp


# smtplib


@pytest.mark.real_client
def test_a_mail_is_stored_with_its_envelope(smtp: smtplib.SMTP, server: MailServer) -> None:
    assert smtp.sendmail(FROM, [TO, "postmaster"], b"Subject: hello\r\n\r\nhow are you?\r\n") == {}
    (mail,) = server.stored()
    lines = mail.split(b"\n")
    assert lines[0] == b"Return-Path: <ada@example.org>"
    assert lines[1:3] == [b"Delivered-To: bob@example.net", b"Delivered-To: postmaster"]
    assert lines[3].startswith(b"Received: from client.example ([127.0.0.1]) by localhost with ESMTP; ")
    assert lines[4:] == [b"Subject: hello", b"", b"how are you?", b""]


@pytest.mark.real_client
def test_the_extensions_are_offered(smtp: smtplib.SMTP) -> None:
    assert smtp.ehlo()[0] == 250
    assert smtp.esmtp_features == {"pipelining": "", "8bitmime": "", "size": str(SIZE_LIMIT), "starttls": ""}


@pytest.mark.real_client
def test_an_old_client_says_helo(smtp: smtplib.SMTP, server: MailServer) -> None:
    assert smtp.helo() == (250, b"localhost greets client.example")
    smtp.sendmail(FROM, [TO], "old\r\n")
    (mail,) = server.stored()
    assert b"with SMTP;" in mail


@pytest.mark.real_client
def test_a_mail_is_sent_over_tls(smtp: smtplib.SMTP, server: MailServer) -> None:
    assert smtp.starttls(context=the_certificates().client_context())[0] == 220
    assert isinstance(smtp.sock, ssl.SSLSocket)
    smtp.ehlo()
    assert not smtp.has_extn("starttls")
    assert smtp.docmd("STARTTLS")[0] == 503
    smtp.sendmail(FROM, [TO], "secret\r\n")
    (mail,) = server.stored()
    assert b"with ESMTPS;" in mail
    assert mail.endswith(b"\nsecret\n")


@pytest.mark.real_client
def test_what_was_said_before_tls_is_forgotten(smtp: smtplib.SMTP) -> None:
    smtp.ehlo()
    assert smtp.mail(FROM)[0] == 250
    assert smtp.rcpt(TO)[0] == 250
    smtp.starttls(context=the_certificates().client_context())
    assert smtp.docmd("RCPT", f"TO:<{TO}>")[0] == 503
    assert smtp.docmd("DATA")[0] == 503
    assert smtp.docmd("MAIL", f"FROM:<{FROM}>")[0] == 503


@pytest.mark.real_client
def test_many_mails_of_many_recipients_go_over_one_connection(smtp: smtplib.SMTP, server: MailServer) -> None:
    recipients = [f"user{number}@example.net" for number in range(100)]
    for number in range(5):
        assert smtp.sendmail(FROM, recipients, f"mail {number}\r\n") == {}
    assert sorted(server.mails()) == [b"mail %d\n" % number for number in range(5)]


@pytest.mark.real_client
def test_too_many_recipients_are_refused_one_by_one(smtp: smtplib.SMTP, server: MailServer) -> None:
    recipients = [f"user{number}@example.net" for number in range(102)]
    refused = smtp.sendmail(FROM, recipients, "to many\r\n")
    assert {name: code for name, (code, _) in refused.items()} == dict.fromkeys(recipients[100:], 452)
    (mail,) = server.stored()
    assert mail.count(b"Delivered-To") == 100


@pytest.mark.real_client
@pytest.mark.parametrize(
    "mail",
    [
        pytest.param(b".\r\n..\r\n...\r\n.a\r\na.\r\n", id="dots"),
        pytest.param(b"\r\n\r\n.\r\n\r\n", id="empty lines"),
        pytest.param("Subject: déjà vu\r\n\r\nß\r\n".encode(), id="UTF-8"),
        pytest.param(bytes({*range(256)} - {*b"\r\n"}) + b"\r\n", id="all bytes"),
        pytest.param(b"x" * 998 + b"\r\n." + b"x" * 997 + b"\r\n", id="the longest lines"),
        pytest.param((b"." + bytes(70) + b"\r\n") * 50_000, id="3 MiB"),
        pytest.param(LARGEST, id="the largest mail"),
    ],
)
def test_a_mail_arrives_as_it_was(smtp: smtplib.SMTP, server: MailServer, mail: bytes) -> None:
    smtp.sendmail(FROM, [TO], mail, ["BODY=8BITMIME"])
    assert server.mails() == [mail.replace(b"\r\n", b"\n")]


@pytest.mark.real_client
def test_a_mail_that_is_too_large_is_refused_by_its_size(smtp: smtplib.SMTP, server: MailServer) -> None:
    with pytest.raises(smtplib.SMTPSenderRefused) as info:
        smtp.sendmail(FROM, [TO], b"x" + LARGEST)
    assert info.value.smtp_code == 552
    assert smtp.sendmail(FROM, [TO], b"small\r\n") == {}
    assert server.mails() == [b"small\n"]


@pytest.mark.real_client
def test_a_mail_that_turns_out_too_large_is_refused_at_its_end(smtp: smtplib.SMTP, server: MailServer) -> None:
    smtp.helo()  # so that the client does not tell the size
    with pytest.raises(smtplib.SMTPDataError) as info:
        smtp.sendmail(FROM, [TO], b"x" + LARGEST)
    assert info.value.smtp_code == 552
    assert smtp.sendmail(FROM, [TO], b"small\r\n") == {}
    assert server.mails() == [b"small\n"]


# swaks


def swaks(server: MailServer, *words: str) -> str:
    command = [needs_program("swaks"), "--server", "127.0.0.1", "--port", str(server.port), "--from", FROM, "--to", TO]
    result = subprocess.run([*command, *words], capture_output=True, text=True, timeout=SECONDS_TO_END, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.real_client
@pytest.mark.parametrize("options", [[], ["--pipeline"], ["--tls"], ["--tls", "--pipeline"]], ids=" ".join)
def test_swaks_sends_a_mail(server: MailServer, options: list[str]) -> None:
    output = swaks(server, "--body", "a\n.\n..b\n", *options)
    assert ("=== TLS started" in output) == ("--tls" in options)
    assert "<** " not in output
    (mail,) = server.stored()
    assert b"with ESMTPS;" in mail if "--tls" in options else b"with ESMTP;" in mail
    assert b"\n\na\n.\n..b\n" in mail


@pytest.mark.real_client
def test_swaks_requires_a_certificate_of_our_authority(server: MailServer) -> None:
    with the_certificates().authority_file() as authority:
        output = swaks(server, "--tls", "--tls-verify", "--tls-ca-path", authority)
    assert "=== TLS started" in output


# Plain sockets


class Peer:
    """A client that sends what a test wants."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.input = self.sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reply(self) -> int:
        """Return the code of the next reply."""
        while (line := self.input.readline())[3:4] == b"-":
            pass
        assert line.endswith(b"\r\n")
        return int(line[:3])

    def replies(self, count: int) -> list[int]:
        return [self.reply() for _ in range(count)]

    def replies_to(self, data: bytes) -> list[int]:
        """Send the last commands. Return the codes of all replies before the server closes the connection."""
        self.send(data)
        return self.last_replies()

    def last_replies(self) -> list[int]:
        lines = self.input.read().splitlines()
        return [int(line[:3]) for line in lines if line[3:4] == b" "]

    def close(self) -> None:
        self.input.close()
        self.sock.close()


@contextmanager
def connected(server: MailServer) -> Iterator[Peer]:
    with ExitStack() as stack:
        peer = Peer(server.port)
        stack.callback(peer.close)
        assert peer.reply() == 220
        yield peer


@pytest.fixture
def peer(server: MailServer) -> Iterator[Peer]:
    with connected(server) as peer:
        yield peer


def test_a_client_may_send_all_at_once(peer: Peer, server: MailServer) -> None:
    data = ENVELOPE + b"one\r\n.\r\n" + ENVELOPE[9:] + b".\r\n" + b"NOOP\r\nQUIT\r\n"
    assert peer.replies_to(data) == [250, 250, 250, 354, 250, 250, 250, 354, 250, 250, 221]
    assert sorted(server.mails()) == [b"", b"one\n"]


def test_a_client_may_send_byte_by_byte(peer: Peer, server: MailServer) -> None:
    for byte in ENVELOPE + b"one\r\n..\r\n.\r\n":
        peer.send(bytes([byte]))
    assert peer.replies_to(b"QUIT\r\n") == [250, 250, 250, 354, 250, 221]
    assert server.mails() == [b"one\n.\n"]


@pytest.mark.parametrize("seed", range(8))
def test_it_does_not_matter_how_the_stream_is_cut(peer: Peer, server: MailServer, seed: int) -> None:
    rng = random.Random(seed)
    data = 3 * (ENVELOPE + b"one\r\n.two\r\n\r\n..three\r\n.\r\n") + b"NOOP\r\nSTARTTLS\r\n"
    while data:
        size = rng.choice([1, 2, 3, 10, 100])
        peer.send(data[:size])
        data = data[size:]
    assert peer.replies(17) == 3 * [250, 250, 250, 354, 250] + [250, 220]
    context = the_certificates().client_context()
    peer.input.close()
    with context.wrap_socket(peer.sock, server_hostname="localhost") as sock:
        sock.sendall(ENVELOPE + b"secret\r\n.\r\nQUIT\r\n")
        with sock.makefile("rb") as input:
            assert input.read().splitlines()[-1] == b"221 localhost says goodbye"
    assert sorted(server.mails()) == 3 * [b"one\ntwo\n\n.three\n"] + [b"secret\n"]


@pytest.mark.parametrize(
    ("commands", "codes"),
    [
        pytest.param("FROB", [500], id="unknown"),
        pytest.param("", [500], id="nothing"),
        pytest.param("EXPN a\r\nHELP\r\nAUTH PLAIN", [502, 502, 502], id="not implemented"),
        pytest.param("VRFY ada\r\nVRFY", [252, 501], id="VRFY"),
        pytest.param("NOOP\r\nnoop what\r\nNOOP   ", [250, 250, 250], id="NOOP"),
        pytest.param("EHLO\r\nHELO\r\nEHLO a b\r\nEHLO <a>", [501] * 4, id="invalid names"),
        pytest.param("EHLO [127.0.0.1]\r\nHELO [IPv6:::1]\r\nehlo a-b.c", [250, 250, 250], id="names"),
        pytest.param("MAIL FROM:<a@b>", [503], id="MAIL before EHLO"),
        pytest.param("RCPT TO:<a@b>\r\nDATA", [503, 503], id="RCPT and DATA before EHLO"),
        pytest.param("EHLO me\r\nRCPT TO:<a@b>\r\nDATA", [250, 503, 503], id="RCPT and DATA before MAIL"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b>\r\nDATA", [250, 250, 503], id="DATA before RCPT"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b>\r\nMAIL FROM:<a@b>", [250, 250, 503], id="MAIL twice"),
        pytest.param("HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>", [250, 250, 250], id="special addresses"),
        pytest.param("HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<@x,@y:c@d>", [250, 250, 250], id="source route"),
        pytest.param('HELO me\r\nMAIL FROM:<"a \\"b>"@c>\r\nRCPT TO:<a+b@[::1]>', [250, 250, 250], id="odd addresses"),
        pytest.param("EHLO me\r\nMAIL FROM: <a@b>\r\nMAIL <a@b>\r\nMAIL FROM:a@b", [250, 501, 501, 501], id="no path"),
        pytest.param("EHLO me\r\nMAIL FROM:<a>\r\nMAIL FROM:<a@b@c>\r\nMAIL", [250, 501, 501, 501], id="no address"),
        pytest.param("HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<>\r\nRCPT TO:<a b@c>", [250, 250, 501, 501], id="no name"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b> SIZE=99999999999999999999", [250, 552], id="huge size"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b> SIZE=many\r\nMAIL FROM:<a@b> BODY=9BIT", [250, 501, 501], id="values"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b> SMTPUTF8\r\nMAIL FROM:<a@b> X=1", [250, 555, 555], id="parameters"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b> size=9 body=7bit\r\nRCPT TO:<a@b> X=1", [250, 250, 555], id="of RCPT"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b>\r\nRSET\r\nRCPT TO:<a@b>", [250, 250, 250, 503], id="RSET"),
        pytest.param("EHLO me\r\nMAIL FROM:<a@b>\r\nEHLO me\r\nRCPT TO:<a@b>", [250, 250, 250, 503], id="EHLO resets"),
        pytest.param("RSET a\r\nDATA a\r\nSTARTTLS a\r\nQUIT a", [501] * 4, id="superfluous arguments"),
        pytest.param("NOOP \x1b[2J\r\nNOOP\0", [500, 500], id="control characters"),
        pytest.param("EHLO me\nMAIL FROM:<a@b>\r\nEHLO me\rNOOP\r\n\nNOOP", [500, 500, 500], id="CR or LF alone"),
        pytest.param("NOOP \N{LATIN SMALL LETTER SHARP S}\r\nNOOP", [500, 250], id="not ASCII"),
        pytest.param("NOOP " + "x" * 548 + "\r\nNOOP " + "x" * 549 + "\r\nNOOP", [250, 500, 250], id="long line"),
        pytest.param("x" * 1_000_000 + "\r\nNOOP", [500, 250], id="very long line"),
    ],
)
def test_commands_are_answered_as_the_rfc_demands(peer: Peer, commands: str, codes: list[int]) -> None:
    assert peer.replies_to(f"{commands}\r\nQUIT\r\n".encode()) == [*codes, 221]


@pytest.mark.parametrize(
    "end", ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\n\0.\r\n", "\r\n. \r\n"]
)
def test_only_one_sequence_ends_the_data(peer: Peer, server: MailServer, end: str) -> None:
    """SMTP smuggling: CVE-2023-51764."""
    smuggled = ENVELOPE + b"smuggled\r\n.\r\n"
    codes = peer.replies_to(ENVELOPE + b"mail" + end.encode() + smuggled + b"NOOP\r\nQUIT\r\n")
    # Neither \0 nor the space makes a line invalid, but they make it another line than a dot.
    is_valid = "\0" in end or " " in end
    assert codes == [250, 250, 250, 354, 250 if is_valid else 554, 250, 221]
    assert len(server.mails()) == is_valid


@pytest.mark.parametrize("line", [b"x" * 1000, b"." + b"x" * 1000, b"x" * 1_000_000])
def test_a_line_that_is_too_long_is_refused_at_the_end_of_the_data(peer: Peer, server: MailServer, line: bytes) -> None:
    codes = peer.replies_to(ENVELOPE + b"one\r\n" + line + b"\r\n.\r\n" + b"NOOP\r\nQUIT\r\n")
    assert codes == [250, 250, 250, 354, 500, 250, 221]
    assert server.mails() == []


def test_a_client_may_leave_within_the_data(peer: Peer, server: MailServer) -> None:
    peer.send(ENVELOPE + b"half of a mail\r\n.")
    peer.sock.shutdown(socket.SHUT_WR)
    assert peer.last_replies() == [250, 250, 250, 354]
    assert server.mails() == []


@pytest.mark.parametrize("injected", [b"NOOP\r\n", ENVELOPE + b"injected\r\n.\r\n", b"\x16", b"\r\n"])
def test_commands_injected_after_starttls_are_refused(peer: Peer, server: MailServer, injected: bytes) -> None:
    """CVE-2011-0411: a man in the middle adds them to the segment, and the server must not run them inside of TLS."""
    peer.send(b"STARTTLS\r\n" + injected)
    assert peer.reply() == 220
    peer.sock.shutdown(socket.SHUT_WR)
    assert b"250" not in peer.input.read()
    assert server.mails() == []


def test_injected_commands_are_one_line_in_the_log(peer: Peer, server: MailServer) -> None:
    before = len(server.program.output)
    peer.send(b"STARTTLS\r\nNOOP\r\n")
    assert peer.reply() == 220
    assert peer.input.read() == b""
    address = str(peer.sock.getsockname())
    server.program.wait_for(rf"\({address[1:-1]}\) disconnected")
    lines = [line for line in server.program.output[before:].splitlines() if address in line]
    assert len([line for line in lines if "connect" not in line]) == 1


def test_commands_instead_of_tls_are_refused(peer: Peer) -> None:
    peer.send(b"STARTTLS\r\n")
    assert peer.reply() == 220
    peer.send(b"NOOP\r\n")
    assert b"250" not in peer.input.read()


def test_without_a_certificate_there_is_no_tls(tmp_path: Path) -> None:
    with example("smtp_server.py") as program, connected(MailServer(program, tmp_path)) as peer:
        peer.send(b"EHLO me\r\n")
        assert peer.input.readline()[:4] == b"250-"
        assert peer.replies_to(b"STARTTLS\r\nQUIT\r\n") == [250, 502, 221]


@pytest.mark.real_client
def test_a_mail_is_printed_without_control_characters() -> None:
    with example("smtp_server.py") as program:
        with smtplib.SMTP("127.0.0.1", program.port, timeout=PATIENCE) as smtp:
            smtp.sendmail(FROM, [TO], b"Subject: \x1b[2J\r\n\r\nd\xc3\xa9j\xc3\xa0 vu\r\n")
        program.wait_for(r"Subject: \\x1b\[2J\n\nd\\xc3\\xa9j\\xc3\\xa0 vu\n")


@pytest.mark.real_client
def test_a_mail_that_cannot_be_stored_is_refused_for_now(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    with example("smtp_server.py", "--directory", str(folder)) as program:
        with smtplib.SMTP("127.0.0.1", program.port, timeout=PATIENCE) as smtp:
            shutil.rmtree(folder)
            with pytest.raises(smtplib.SMTPDataError) as info:
                smtp.sendmail(FROM, [TO], "lost?\r\n")
            assert info.value.smtp_code == 452
            assert smtp.noop()[0] == 250
