"""The SOCKS 5 proxy of docs/examples, with curl, and with plain sockets for what curl does not send."""

from __future__ import annotations

import hashlib
import itertools
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.support.programs import SECONDS_TO_END, Example, example, needs_program
from tests.support.sockets import PATIENCE, reset, unused_address

CONTENT = random.Random(18).randbytes(20_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()

HELLO = b"\x05\x01\x00"
CHOSEN = b"\x05\x00"
LOGIN = ["--user", "ada", "--password", "love lace"]

GENERAL_FAILURE, HOST_UNREACHABLE, CONNECTION_REFUSED, COMMAND_NOT_SUPPORTED, ADDRESS_TYPE_NOT_SUPPORTED = (
    b"\x05%c\x00\x01\x00\x00\x00\x00\x00\x00" % code for code in (1, 4, 5, 7, 8)
)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Example]:
    with example("socks5_server.py") as proxy:
        yield proxy


@pytest.fixture(scope="module")
def locked_proxy() -> Iterator[Example]:
    with example("socks5_server.py", *LOGIN) as proxy:
        yield proxy


class Site(BaseHTTPRequestHandler):
    """Gives a large file, and the digest of what is uploaded."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(CONTENT)

    def do_PUT(self) -> None:
        digest = hashlib.sha256()
        missing = int(self.headers["Content-Length"])
        while missing and (data := self.rfile.read(min(missing, 1 << 16))):
            digest.update(data)
            missing -= len(data)
        self.answer(digest.hexdigest().encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def site(host: str, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """Serve the site for the length of a context. Give its port."""

    class Server(ThreadingHTTPServer):
        address_family = family

    with Server((host, 0), Site) as server:
        thread = Thread(target=server.serve_forever, args=[0.02])
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    with site("127.0.0.1") as port:
        yield port


def curl(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [needs_program("curl"), "--silent", "--show-error", *words], capture_output=True, timeout=SECONDS_TO_END
    )


def fetched(*words: str) -> bytes:
    result = curl(*words)
    assert result.stderr == b""
    assert result.returncode == 0
    return result.stdout


# curl


@pytest.mark.real_client
def test_curl_downloads_a_large_file(proxy: Example, web: int) -> None:
    assert fetched("--socks5", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{web}/") == CONTENT


@pytest.mark.real_client
def test_curl_uploads_a_large_file(proxy: Example, web: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    answer = fetched("--socks5", f"127.0.0.1:{proxy.port}", "--upload-file", str(file), f"http://127.0.0.1:{web}/")
    assert answer.decode() == DIGEST


@pytest.mark.real_client
def test_curl_lets_the_proxy_resolve_the_name(proxy: Example, web: int) -> None:
    assert fetched("--socks5-hostname", f"127.0.0.1:{proxy.port}", f"http://localhost:{web}/") == CONTENT


@pytest.mark.real_client
def test_curl_connects_to_an_ipv6_address(proxy: Example) -> None:
    with site("::1", socket.AF_INET6) as port:
        assert fetched("--socks5", f"127.0.0.1:{proxy.port}", f"http://[::1]:{port}/") == CONTENT


@pytest.mark.real_client
def test_many_curls_download_at_once(proxy: Example, web: int) -> None:
    options = ["--socks5", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{web}/"]
    with ThreadPoolExecutor(8) as threads:
        for content in threads.map(lambda _: fetched(*options), range(8)):
            assert content == CONTENT


@pytest.mark.real_client
def test_curl_logs_in(locked_proxy: Example, web: int) -> None:
    options = ["--socks5", f"127.0.0.1:{locked_proxy.port}", f"http://127.0.0.1:{web}/"]
    assert fetched("--proxy-user", "ada:love lace", *options) == CONTENT


@pytest.mark.real_client
@pytest.mark.parametrize("login", ["ada:lovelace", "bob:love lace", "ada:", "ada:love lace2"])
def test_curl_is_refused_with_a_wrong_login(locked_proxy: Example, web: int, login: str) -> None:
    result = curl("--socks5", f"127.0.0.1:{locked_proxy.port}", "--proxy-user", login, f"http://127.0.0.1:{web}/")
    assert result.returncode == 97
    assert b"User was rejected by the SOCKS5 server (1 1)" in result.stderr


@pytest.mark.real_client
def test_curl_is_refused_without_a_login(locked_proxy: Example, web: int) -> None:
    result = curl("--socks5", f"127.0.0.1:{locked_proxy.port}", f"http://127.0.0.1:{web}/")
    assert result.returncode == 97
    assert b"No authentication method was acceptable" in result.stderr


@pytest.mark.real_client
def test_curl_may_offer_a_login_that_the_proxy_does_not_need(proxy: Example, web: int) -> None:
    options = ["--socks5", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{web}/"]
    assert fetched("--proxy-user", "ada:any", *options) == CONTENT


@pytest.mark.real_client
def test_curl_hears_that_nothing_listens_there(proxy: Example) -> None:
    result = curl("--socks5", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{unused_address()[1]}/")
    assert result.returncode == 97
    assert b"Can't complete SOCKS5 connection to 127.0.0.1. (5)" in result.stderr


@pytest.mark.real_client
def test_curl_hears_that_a_name_cannot_be_resolved(proxy: Example) -> None:
    result = curl("--socks5-hostname", f"127.0.0.1:{proxy.port}", "http://no..name/")
    assert result.returncode == 97
    assert b"Can't complete SOCKS5 connection to no..name. (4)" in result.stderr


@pytest.mark.real_client
def test_curl_cannot_use_version_4(proxy: Example, web: int) -> None:
    result = curl("--socks4", f"127.0.0.1:{proxy.port}", f"http://127.0.0.1:{web}/")
    assert result.returncode == 97
    assert b"connection to proxy closed" in result.stderr


# Plain sockets


def request(address: tuple[str, int], command: int = 1) -> bytes:
    """Return the request to connect to an IPv4 address."""
    return b"\x05%c\x00\x01" % command + socket.inet_aton(address[0]) + address[1].to_bytes(2, "big")


def exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (received := peer.recv(size - len(data))):
        data += received
    return data


def until_the_end(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(1 << 16), b""))


def dialled(proxy: Example) -> socket.socket:
    peer = socket.create_connection(proxy.address, timeout=PATIENCE)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return peer


def answer_to(proxy: Example, data: bytes) -> bytes:
    """Return all that the proxy answers before it closes the connection."""
    with dialled(proxy) as peer:
        peer.sendall(data)
        return until_the_end(peer)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


@pytest.fixture
def ends(proxy: Example, listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client and a target, which the proxy has connected."""
    with ExitStack() as stack:
        client = stack.enter_context(dialled(proxy))
        client.sendall(HELLO)
        assert exactly(client, 2) == CHOSEN
        client.sendall(request(listener.getsockname()))
        reply = exactly(client, 10)
        target = stack.enter_context(listener.accept()[0])
        target.settimeout(PATIENCE)
        host, port = target.getpeername()
        assert reply == b"\x05\x00\x00\x01" + socket.inet_aton(host) + port.to_bytes(2, "big")
        yield client, target


def test_the_reply_says_from_where_the_proxy_has_connected(ends: tuple[socket.socket, socket.socket]) -> None:
    client, target = ends
    client.sendall(b"to the target")
    assert exactly(target, 13) == b"to the target"
    target.sendall(b"to the client")
    assert exactly(client, 13) == b"to the client"


def test_the_reply_may_have_an_ipv6_address(proxy: Example) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener, dialled(proxy) as client:
        port = listener.getsockname()[1].to_bytes(2, "big")
        client.sendall(HELLO + b"\x05\x01\x00\x04" + socket.inet_pton(socket.AF_INET6, "::1") + port)
        reply = exactly(client, 2 + 22)
        with listener.accept()[0] as target:
            assert reply[:22] == CHOSEN + b"\x05\x00\x00\x04" + socket.inet_pton(socket.AF_INET6, "::1")
            assert int.from_bytes(reply[22:], "big") == target.getpeername()[1]


def test_a_client_may_send_all_at_once(proxy: Example, listener: socket.socket) -> None:
    with dialled(proxy) as client:
        client.sendall(HELLO + request(listener.getsockname()) + b"early data")
        with listener.accept()[0] as target:
            assert exactly(target, 10) == b"early data"
        assert exactly(client, 12)[:4] == CHOSEN + b"\x05\x00"


def test_a_client_may_send_a_login_and_all_else_at_once(locked_proxy: Example, listener: socket.socket) -> None:
    with dialled(locked_proxy) as client:
        client.sendall(b"\x05\x02\x00\x02\x01\x03ada\x09love lace" + request(listener.getsockname()) + b"early data")
        with listener.accept()[0] as target:
            assert exactly(target, 10) == b"early data"
        assert exactly(client, 14)[:6] == b"\x05\x02\x01\x00\x05\x00"


@pytest.mark.parametrize("by_name", [False, True], ids=["address", "name"])
def test_a_client_may_send_byte_by_byte(proxy: Example, listener: socket.socket, by_name: bool) -> None:
    host, port = listener.getsockname()
    to_connect = b"\x05\x01\x00\x03\x09localhost" + port.to_bytes(2, "big") if by_name else request((host, port))
    with dialled(proxy) as client:
        for byte in HELLO + to_connect + b"data":
            client.send(bytes([byte]))
        with listener.accept()[0] as target:
            assert exactly(target, 4) == b"data"


@pytest.mark.parametrize("seed", range(8))
def test_it_does_not_matter_how_the_stream_is_cut(locked_proxy: Example, listener: socket.socket, seed: int) -> None:
    rng = random.Random(seed)
    data = b"\x05\x01\x02\x01\x03ada\x09love lace" + request(listener.getsockname()) + rng.randbytes(1000)
    cuts = sorted(rng.sample(range(1, 60), 6))
    with dialled(locked_proxy) as client:
        for begin, end in itertools.pairwise([0, *cuts, len(data)]):
            client.sendall(data[begin:end])
        with listener.accept()[0] as target:
            assert exactly(target, 1000) == data[-1000:]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"", id="version 4"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", b"", id="HTTP"),
        pytest.param(b"\x05\x01\x02", b"\x05\xff", id="only a login"),
        pytest.param(b"\x05\x03\x01\x80\xfe", b"\x05\xff", id="unknown methods"),
        pytest.param(b"\x05\x00", b"\x05\xff", id="no methods"),
        pytest.param(HELLO + b"\x04" + request(("127.0.0.1", 9))[1:], CHOSEN + GENERAL_FAILURE, id="another version"),
        pytest.param(HELLO + request(("127.0.0.1", 9), 2), CHOSEN + COMMAND_NOT_SUPPORTED, id="BIND"),
        pytest.param(HELLO + request(("127.0.0.1", 9), 3), CHOSEN + COMMAND_NOT_SUPPORTED, id="UDP ASSOCIATE"),
        pytest.param(HELLO + request(("127.0.0.1", 9), 0), CHOSEN + COMMAND_NOT_SUPPORTED, id="unknown command"),
        pytest.param(HELLO + b"\x05\x01\x00\x02abcd\0\x50", CHOSEN + ADDRESS_TYPE_NOT_SUPPORTED, id="address type 2"),
        pytest.param(HELLO + b"\x05\x01\x00\xff", CHOSEN + ADDRESS_TYPE_NOT_SUPPORTED, id="address type 255"),
        pytest.param(HELLO + b"\x05\x01\x00\x03\x00\0\x50", CHOSEN + HOST_UNREACHABLE, id="empty name"),
        pytest.param(HELLO + b"\x05\x01\x00\x03\x04a..b\0\x50", CHOSEN + HOST_UNREACHABLE, id="empty label"),
        pytest.param(HELLO + b"\x05\x01\x00\x03\xff" + b"a" * 255 + b"\0\x50", CHOSEN + HOST_UNREACHABLE, id="long"),
        pytest.param(HELLO + b"\x05\x01\x00\x03\x02\xff\xfe\0\x50", CHOSEN + HOST_UNREACHABLE, id="not text"),
    ],
)
def test_bad_input_is_refused(proxy: Example, data: bytes, answer: bytes) -> None:
    assert answer_to(proxy, data) == answer


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(b"\x05\x01\x00", b"\x05\xff", id="no login"),
        pytest.param(b"\x05\x01\x02\x01\x03ada\x08lovelace", b"\x05\x02\x01\x01", id="wrong password"),
        pytest.param(b"\x05\x01\x02\x01\x03eve\x09love lace", b"\x05\x02\x01\x01", id="wrong user"),
        pytest.param(b"\x05\x01\x02\x01\x00\x00", b"\x05\x02\x01\x01", id="empty"),
        pytest.param(b"\x05\x01\x02\x05\x03ada\x09love lace", b"\x05\x02\x01\x01", id="wrong version"),
    ],
)
def test_a_bad_login_is_refused(locked_proxy: Example, data: bytes, answer: bytes) -> None:
    assert answer_to(locked_proxy, data) == answer


def test_a_request_does_not_replace_the_login(locked_proxy: Example, listener: socket.socket) -> None:
    assert answer_to(locked_proxy, b"\x05\x01\x02" + request(listener.getsockname())) == b"\x05\x02\x01\x01"


def test_a_client_may_leave_at_any_byte(locked_proxy: Example) -> None:
    data = b"\x05\x01\x02\x01\x03ada\x09love lace\x05\x01\x00\x03\x09localhost\x00\x50"
    for size in range(len(data)):
        with dialled(locked_proxy) as client:
            client.sendall(data[:size])
            client.shutdown(socket.SHUT_WR)
            answer = (b"\x05\x02" if size >= 3 else b"") + (b"\x01\x00" if size >= 18 else b"")
            assert until_the_end(client) == answer


def test_the_end_of_the_client_reaches_the_target_which_may_still_answer(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, target = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert until_the_end(target) == b"question"
    target.sendall(b"answer")
    assert exactly(client, 6) == b"answer"
    target.close()
    assert until_the_end(client) == b""


def test_the_end_of_the_target_reaches_the_client_which_may_still_send(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    client, target = ends
    target.sendall(b"answer")
    target.shutdown(socket.SHUT_WR)
    assert until_the_end(client) == b"answer"
    client.sendall(b"more")
    assert exactly(target, 4) == b"more"
    client.close()
    assert until_the_end(target) == b""


@pytest.mark.parametrize("index", [0, 1], ids=["client", "target"])
def test_a_reset_of_one_ends_the_other(ends: tuple[socket.socket, socket.socket], index: int) -> None:
    reset(ends[index])
    assert until_the_end(ends[1 - index]) == b""


@pytest.mark.parametrize("index", [0, 1], ids=["client", "target"])
def test_who_sends_to_one_that_was_reset_hears_of_it(ends: tuple[socket.socket, socket.socket], index: int) -> None:
    reset(ends[index])
    with pytest.raises(ConnectionError):
        while True:
            ends[1 - index].sendall(bytes(65_536))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
@pytest.mark.parametrize("to_target", [True, False], ids=["to the target", "to the client"])
def test_a_receiver_that_does_not_read_stops_the_sender(
    proxy: Example, ends: tuple[socket.socket, socket.socket], to_target: bool
) -> None:
    sender, receiver = ends if to_target else ends[::-1]
    before = memory(proxy)
    sent = 0
    sender.settimeout(0.5)
    with suppress(TimeoutError):
        while sent < 1 << 28:
            sent += sender.send(CONTENT[:65_536])
    assert sent < 1 << 28  # the buffers of the kernel are full
    assert memory(proxy) - before < 1 << 22
    sender.shutdown(socket.SHUT_WR)
    received = 0
    while data := receiver.recv(1 << 20):
        received += len(data)
    assert received == sent


def memory(proxy: Example) -> int:
    """Return how much memory the proxy has in use, in bytes."""
    pages = Path(f"/proc/{proxy.process.pid}/statm").read_text().split()[1]
    return int(pages) * 4096
