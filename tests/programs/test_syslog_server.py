from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from tests.support.programs import EXAMPLES, SECONDS_TO_END, Example, example, needs_program, running

sys.path.append(str(EXAMPLES))

from syslog_server import LIMIT, Message, parse_message

UDP, TCP, TLS = range(3)
"""The order in which the server logs its addresses."""


class Authority:
    """Files with the certificates of an authority, of a server and of a client."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        server = authority.issue_cert("localhost")
        client = authority.issue_cert("client.example")
        self.file = folder / "authority.pem"
        self.server_file = folder / "server.pem"
        self.client_file = folder / "client.pem"
        self.client_key_file = folder / "client.key"
        authority.cert_pem.write_to_path(self.file)
        server.private_key_and_cert_chain_pem.write_to_path(self.server_file)
        client.cert_chain_pems[0].write_to_path(self.client_file)
        client.private_key_pem.write_to_path(self.client_key_file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Example]:
    """A server that listens over UDP, TCP and TLS, in this order."""
    options = ["--tls-port", "0", "--certificate", str(authority.server_file), "--trust", str(authority.file)]
    with example("syslog_server.py", *options, listeners=3) as server:
        yield server


def printed(server: Example, text: str) -> dict[str, Any]:
    """Wait until the server prints a message with this *text*. Return what it prints."""
    found = server.wait_for(rf'(?m)^{{.*"text": {re.escape(json.dumps(text))}.*}}$')
    message: dict[str, Any] = json.loads(found[0][0])
    return message


def all_printed(server: Example) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]


# ---------------------------------------------------------------------------------------------- with real clients

LOGGER = {
    "UDP": ["--udp"],
    "TCP, lines": ["--tcp"],
    "TCP, octets counted": ["--tcp", "--octet-count"],
}


def logger(server: Example, *options: str) -> None:
    address = server.addresses[TCP if "--tcp" in options else UDP]
    command = [needs_program("logger"), "--server", address[0], "--port", str(address[1]), "--tag", "a-program"]
    subprocess.run([*command, *options], check=True, timeout=SECONDS_TO_END)


@pytest.mark.real_client
@pytest.mark.parametrize("transport", LOGGER)
def test_logger_sends_the_format_of_rfc_5424(server: Example, transport: str) -> None:
    text = f"new format over {transport}: äöü"
    structured = ["--msgid", "ID47", "--sd-id", "x@32473", "--sd-param", 'a="1"', "--sd-param", r'b="\"2\" [\]"']
    logger(server, *LOGGER[transport], "--id=77", "--priority", "local3.err", *structured, text)
    message = printed(server, text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", message.pop("time"))
    assert message.pop("data")["x@32473"] == [["a", "1"], ["b", '"2" []']]
    assert message == {
        "sender": "127.0.0.1",
        "facility": "local3",
        "severity": "err",
        "text": text,
        "host": socket.gethostname(),
        "app": "a-program",
        "process": "77",
        "message_id": "ID47",
    }


@pytest.mark.real_client
@pytest.mark.parametrize("transport", LOGGER)
def test_logger_sends_the_format_of_rfc_3164(server: Example, transport: str) -> None:
    text = f"old format over {transport}"
    logger(server, *LOGGER[transport], "--rfc3164", "--id=77", "--priority", "mail.debug", text)
    message = printed(server, text)
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d", message.pop("time"))
    assert message == {
        "sender": "127.0.0.1",
        "facility": "mail",
        "severity": "debug",
        "text": text,
        "host": socket.gethostname().partition(".")[0],
        "app": "a-program",
        "process": "77",
        "message_id": None,
        "data": {},
    }


@pytest.mark.real_client
def test_logger_sends_neither_time_nor_host(server: Example) -> None:
    text = "neither time nor host"
    logger(server, "--udp", "--rfc5424=notime,nohost", text)
    message = printed(server, text)
    assert (message["time"], message["host"], message["process"], message["data"]) == (None, None, None, {})


@pytest.mark.real_client
@pytest.mark.parametrize("transport", ["TCP, lines", "TCP, octets counted"])
def test_logger_sends_many_messages_over_one_connection(server: Example, tmp_path: Path, transport: str) -> None:
    lines = [f"line {number} of a file over {transport}" for number in range(1000)]
    (tmp_path / "lines").write_text("\n".join(lines))
    logger(server, *LOGGER[transport], "--file", str(tmp_path / "lines"))
    printed(server, lines[-1])
    texts = [message["text"] for message in all_printed(server)]
    assert [text for text in texts if text.endswith(f"of a file over {transport}")] == lines


RSYSLOG = {
    "UDP": (UDP, 'protocol="udp"'),
    "TCP, lines": (TCP, 'protocol="tcp"'),
    "TCP, octets counted": (TCP, 'protocol="tcp" TCP_Framing="octet-counted"'),
    "TLS": (
        TLS,
        'protocol="tcp" TCP_Framing="octet-counted" StreamDriver="gtls" StreamDriverMode="1" '
        'StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost"',
    ),
}
TEMPLATES = {
    "RFC 5424": "RSYSLOG_SyslogProtocol23Format",
    "RFC 3164": "RSYSLOG_TraditionalForwardFormat",
    "RFC 3164 with the time of RFC 5424": "RSYSLOG_ForwardFormat",
}


@contextlib.contextmanager
def rsyslogd(authority: Authority, action: str, folder: Path) -> Iterator[Path]:
    """Run rsyslogd with one *action*. Give the path of the socket on which it receives."""
    program = needs_program("rsyslogd")
    log = folder / "log.socket"
    (folder / "rsyslog.conf").write_text(
        f"""
        global(
            workDirectory="{folder}"
            defaultNetstreamDriverCAFile="{authority.file}"
            defaultNetstreamDriverCertFile="{authority.client_file}"
            defaultNetstreamDriverKeyFile="{authority.client_key_file}"
        )
        module(load="imuxsock" SysSock.Use="off")
        input(type="imuxsock" Socket="{log}")
        action(type="omfwd" {action})
        """
    )
    with running([program, "-n", "-f", "rsyslog.conf", "-i", str(folder / "rsyslog.pid")], folder) as daemon:
        deadline = time.monotonic() + SECONDS_TO_END
        while not log.exists():
            assert daemon.process.poll() is None, daemon.output
            assert time.monotonic() < deadline, daemon.output
            time.sleep(0.02)
        yield log
        daemon.process.terminate()
        assert daemon.process.wait(SECONDS_TO_END) == 0, daemon.output


@pytest.mark.real_client
@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("transport", RSYSLOG)
def test_rsyslogd_forwards_messages(
    server: Example, authority: Authority, tmp_path: Path, transport: str, template: str
) -> None:
    text = f"forwarded with the template {template} over {transport}"
    begin = " " if template == "RFC 5424" else ""  # this template of rsyslogd sends two spaces before a text
    index, options = RSYSLOG[transport]
    host, port = server.addresses[index]
    action = f'target="{host}" port="{port}" template="{TEMPLATES[template]}" {options}'
    with rsyslogd(authority, action, tmp_path) as log:
        command = [needs_program("logger"), "--socket", str(log), "--id=77", "--tag", "a-program", "-p", "cron.warning"]
        for line in f"{text}, first", text:
            subprocess.run([*command, line], check=True, timeout=SECONDS_TO_END)
        printed(server, f"{begin}{text}, first")
        message = printed(server, begin + text)
    assert message["time"]
    assert message["facility"] == "cron"
    assert message["severity"] == "warning"
    assert message["host"]
    assert message["app"] == "a-program"
    assert message["process"] == "77"


# ------------------------------------------------------------------------------------------------------- bad input


def send_datagram(server: Example, data: bytes) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.sendto(data, server.addresses[UDP])


def send_stream(server: Example, *pieces: bytes) -> bytes:
    """Send *pieces* over TCP, then the end of the stream. Return what the server sends until it closes."""
    with socket.create_connection(server.addresses[TCP], SECONDS_TO_END) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)
        return sock.recv(1)


def counted(message: bytes) -> bytes:
    return b"%d %b" % (len(message), message)


@contextlib.contextmanager
def tls(server: Example, authority: Authority, *, with_certificate: bool = True) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context(cafile=authority.file)
    if with_certificate:
        context.load_cert_chain(authority.client_file, authority.client_key_file)
    with socket.create_connection(server.addresses[TLS], SECONDS_TO_END) as sock:
        with context.wrap_socket(sock, server_hostname="localhost") as encrypted:
            yield encrypted


def send_tls(server: Example, authority: Authority, data: bytes) -> None:
    with tls(server, authority) as sock:
        sock.sendall(data)
        sock.unwrap()


def test_a_message_in_no_format_is_kept_as_text(server: Example) -> None:
    send_datagram(server, b"no format")
    message = printed(server, "no format")
    assert (message["facility"], message["severity"]) == ("user", "notice")
    assert (message["time"], message["host"], message["app"], message["data"]) == (None, None, None, {})


def test_the_text_of_a_peer_is_printed_escaped(server: Example) -> None:
    send_datagram(server, b'<13>escaped\n{"text": "another message"}\r\n\x1b[31m\x00\x85\xff\xe2\x80\xae')
    output = server.wait_for("escaped.*")[0][0]
    assert output.startswith(r'escaped\n{\"text\": \"another message\"}\r\n\u001b[31m\u0000\\x85\\xff\u202e"')


@pytest.mark.parametrize("name", ["lines", "octets counted"])
def test_messages_arrive_in_any_pieces(server: Example, name: str) -> None:
    messages = [f"<13>{name} {number}".encode() for number in range(3)]
    data = b"".join(
        b"%b\n" % message if name == "lines" else b"%d %b" % (len(message), message) for message in messages
    )
    send_stream(server, *(bytes([byte]) for byte in data))
    assert printed(server, f"{name} 2")
    assert [printed(server, f"{name} {number}")["facility"] for number in range(3)] == ["user"] * 3


def test_one_connection_may_change_between_lines_and_counts(server: Example) -> None:
    send_stream(server, b"<13>change 1\n", counted(b"<13>change 2"), b"<13>change 3\n", counted(b"<13>change 4"))
    assert [printed(server, f"change {number}")["facility"] for number in range(1, 5)] == ["user"] * 4


def test_a_counted_message_may_contain_the_end_of_a_line(server: Example) -> None:
    send_stream(server, counted(b"<13>first\nsecond"))
    assert printed(server, "first\nsecond")


@pytest.mark.parametrize("data", [b"1x <13>wrong count", b"1234567890", b"99999 <13>wrong count", b"9" * 9 + b" x"])
def test_a_connection_with_a_wrong_count_is_closed(server: Example, data: bytes) -> None:
    with socket.create_connection(server.addresses[TCP], SECONDS_TO_END) as sock:
        sock.sendall(b"<13>before\n" + data)
        assert sock.recv(1) == b""
    assert "wrong count" not in [message["text"] for message in all_printed(server)]


def test_a_connection_with_an_endless_line_is_closed(server: Example) -> None:
    with socket.create_connection(server.addresses[TCP], SECONDS_TO_END) as sock:
        sock.sendall(b"<" * (LIMIT + 1))
        assert sock.recv(1) == b""


def test_the_longest_message(server: Example) -> None:
    text = "x" * (LIMIT - len("<13>\n"))
    send_stream(server, f"<13>{text}\n".encode())
    assert printed(server, text)


def test_a_line_without_an_end_is_dropped(server: Example) -> None:
    send_stream(server, b"<13>a whole line\n<13>half a line")
    assert printed(server, "a whole line")
    assert "half a line" not in server.output


def test_over_tls_a_message_that_is_too_long_costs_only_itself(server: Example, authority: Authority) -> None:
    send_tls(server, authority, b"".join(map(counted, [b"before long", b"x" * (LIMIT + 1), b"after long"])))
    assert printed(server, "before long")
    assert printed(server, "after long")


def test_over_tls_a_sender_needs_a_certificate(server: Example, authority: Authority) -> None:
    with tls(server, authority, with_certificate=False) as sock:
        try:
            sock.sendall(counted(b"<13>no certificate"))
            assert sock.recv(1) == b""
        except (ssl.SSLError, ConnectionError):
            pass  # which of the three depends on what arrives first
    send_tls(server, authority, counted(b"<13>a certificate"))
    assert printed(server, "a certificate")
    assert "no certificate" not in server.output


def test_what_is_not_tls_does_not_end_the_server(server: Example, authority: Authority) -> None:
    with socket.create_connection(server.addresses[TLS], SECONDS_TO_END) as sock:
        sock.sendall(counted(b"<13>not encrypted"))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1024):
            pass
    send_tls(server, authority, counted(b"<13>encrypted"))
    assert printed(server, "encrypted")
    assert "not encrypted" not in server.output


# ---------------------------------------------------------------------------------------------------- the messages


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (  # the examples of RFC 5424
            b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed \xc3\xa4",
            Message(
                "auth",
                "crit",
                "'su root' failed ä",
                time="2003-10-11T22:14:15.003Z",
                host="mymachine.example.com",
                app="su",
                message_id="ID47",
            ),
        ),
        (
            b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
            Message(
                "local4",
                "notice",
                "%% It's time to make the do-nuts.",
                time="2003-08-24T05:14:15.000003-07:00",
                host="192.0.2.1",
                app="myproc",
                process="8710",
            ),
        ),
        (
            b'<165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 [a@32473 n="3" ip="1" ip="2"][b@32473 class="high"]',
            Message(
                "local4",
                "notice",
                "",
                time="2003-10-11T22:14:15.003Z",
                host="host",
                app="evntslog",
                message_id="ID47",
                data={"a@32473": [("n", "3"), ("ip", "1"), ("ip", "2")], "b@32473": [("class", "high")]},
            ),
        ),
        (  # the examples of RFC 3164
            b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
            Message("auth", "crit", "'su root' failed", time="Oct 11 22:14:15", host="mymachine", app="su"),
        ),
        (
            b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
            Message("user", "notice", "Use the BFG!", time="Feb  5 17:32:18", host="10.0.0.99"),
        ),
        (b"Use the BFG!", Message("user", "notice", "Use the BFG!")),
        # Structured data
        (b"<0>1 - - - - - -", Message("kern", "emerg", "")),
        (b"<0>1 - - - - - - ", Message("kern", "emerg", "")),
        (b"<0>1 - - - - - [a] [b]", Message("kern", "emerg", "[b]", data={"a": []})),
        (
            rb'<0>1 - - - - - [a b="\"\]\\" c="\n"] text',
            Message("kern", "emerg", "text", data={"a": [("b", '"]\\'), ("c", r"\n")]}),
        ),
        (b'<0>1 - - - - - [a b="1\n2"] text', Message("kern", "emerg", "text", data={"a": [("b", "1\n2")]})),
    ],
)
def test_the_parts_of_a_message(data: bytes, message: Message) -> None:
    assert parse_message(data) == message


@pytest.mark.parametrize("text", ["", "<", "<>x", "<01>x", "<192>x", "<-1>x", "<1000>x", "< 1>x", "<1x", "<\u0661>x"])
def test_a_message_without_a_valid_priority_is_a_text_of_the_default_priority(text: str) -> None:
    assert parse_message(text.encode()) == Message("user", "notice", text)


@pytest.mark.parametrize(
    "text",
    [
        "1 ",
        "2 - - - - - - text",
        "1 2003-10-11 host app - - - text",
        "1 2003-10-11T22:14:15.0000001Z host app - - - text",
        "1 2003-10-11t22:14:15z host app - - - text",
        "1 2003-10-11T22:14:15 host app - - - text",
        "1 - h\u00f6st app - - - text",
        "1 -  app - - - text",
        "1 - host " + "a" * 49 + " - - - text",
        "Okt 11 22:14:15 host app: text",
        "Oct 11 22:14 host app: text",
        "Oct 11 22:14:15",
    ],
)
def test_a_message_with_a_bad_header_is_a_text_of_its_priority(text: str) -> None:
    assert parse_message(b"<12>" + text.encode()) == Message("user", "warning", text)


@pytest.mark.parametrize(
    "data", ["", "x", "[", "[]", "[a", "[a]x", "[a b]", '[a b="]"]', '[a b="1]', '[a  b="1"]', "[a b=1]"]
)
def test_bad_structured_data_are_text(data: str) -> None:
    assert parse_message(f"<12>1 - host - - - {data}".encode()) == Message("user", "warning", data, host="host")


@given(st.binary())
def test_any_bytes_are_a_message_in_one_line_of_json(data: bytes) -> None:
    for start in b"", b"<12>", b"<12>1 - - - - - ", b"<12>1 - - - - - [a", b"<12>Oct 11 22:14:15 ":
        line = json.dumps(asdict(parse_message(start + data)))
        assert line.isascii()
        assert "\n" not in line


@given(st.text(st.sampled_from('[]"\\= a1'), max_size=200))
def test_structured_data_are_parsed_in_whole_or_not_at_all(data: str) -> None:
    message = parse_message(f"<12>1 - - - - - {data}".encode())
    assert message.data or message.text == data
