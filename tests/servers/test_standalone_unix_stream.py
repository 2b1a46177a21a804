"""The server on a Unix stream socket that brings its own event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest
from tests.support.descriptors import Gift, received_text, send_message
from tests.support.lines import line_protocol
from tests.support.peers import PATIENCE
from tests.support.stream_servers import Client, Handler, Requests

from easynetwork.exceptions import ServerClosedError
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import SocketAncillary, UnixSocketAddress
from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer
from easynetwork.servers.threads_helper import NetworkServerThread


def new_server(path: str, **options: Any) -> StandaloneUnixStreamServer[str, str]:
    return StandaloneUnixStreamServer(path, line_protocol(), Handler(), **options)


def ask(path: str, text: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        sock.sendall(text + b"\n")
        return sock.recv(100)


BACKENDS = pytest.mark.parametrize(
    "options",
    [{}, {"runner_options": {"loop_factory": asyncio.new_event_loop}}, {"backend": "trio"}],
    ids=["default", "asyncio", "trio"],
)


@BACKENDS
def test_server_in_a_thread_answers_until_it_is_shut_down(path: str, options: dict[str, Any]) -> None:
    with new_server(path, mode=0o600, ancillary_bufsize=100, **options) as server:
        assert server.get_addresses() == ()
        for text in (b"first run", b"second run"):
            thread = NetworkServerThread(server)
            thread.start()
            try:
                assert server.get_addresses() == (UnixSocketAddress.from_pathname(path),)
                [sock] = server.get_sockets()
                assert sock.getsockname() == path
                assert ask(path, text) == text + b"\n"
            finally:
                thread.join(PATIENCE)
            assert not thread.is_alive()
            assert not os.path.lexists(path)
    with pytest.raises(ServerClosedError):
        server.serve_forever()


@BACKENDS
def test_a_handler_may_ask_for_ancillary_data_without_an_argument_to_the_server(
    path: str, options: dict[str, Any]
) -> None:
    class Asking(Handler):
        async def handle(self, client: Client, /) -> Requests:
            await client.send_packet((yield None))
            ancillary = SocketAncillary()
            yield RecvParams(recv_with_ancillary=RecvAncillaryDataParams(ancillary.update_from_raw))
            await client.send_packet(received_text(ancillary))

    with StandaloneUnixStreamServer(path, line_protocol(), Asking(), **options) as server:
        thread = NetworkServerThread(server)
        thread.start()
        try:
            with socket.socket(socket.AF_UNIX) as sock, Gift("a file") as gift:
                sock.settimeout(PATIENCE)
                sock.connect(path)
                sock.sendall(b"plain\n")
                assert sock.recv(100) == b"plain\n"
                send_message(sock, b"asked\n", gift)
                assert sock.recv(100) == b"a file\n"
        finally:
            thread.join(PATIENCE)


def test_bad_values_are_refused_when_it_is_to_serve(path: str) -> None:
    server = new_server(path, ancillary_bufsize=0)
    with pytest.raises(ValueError, match="ancillary_bufsize"):
        server.serve_forever()
    assert not os.path.lexists(path)


def test_unknown_arguments_are_refused(path: str) -> None:
    with pytest.raises(TypeError):
        new_server(path, reuse_port=True)


PROGRAM = """
import sys
from easynetwork.servers.standalone_unix_stream import StandaloneUnixStreamServer
from tests.support.descriptors import Gift, received_text, send_message
from tests.support.stream_servers import Client, Handler, Requests
from tests.support.lines import line_protocol

class Up:
    def set(self):
        print("up", flush=True)

with StandaloneUnixStreamServer(sys.argv[1], line_protocol(), Handler(), sys.argv[2]) as server:
    try:
        server.serve_forever(is_up_event=Up())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def start_process(path: str, backend: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, path, backend], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@BACKENDS
def test_an_interrupted_process_deletes_its_file(path: str, backend: str) -> None:
    with start_process(path, backend) as process:
        assert ask(path, b"hello") == b"hello\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.read() == "interrupted\n"
        assert process.wait(PATIENCE) == 0
    assert not os.path.lexists(path)


@BACKENDS
def test_the_successor_of_a_killed_process_takes_its_path_over(path: str, backend: str) -> None:
    with start_process(path, backend) as process:
        assert ask(path, b"first") == b"first\n"
        process.kill()
        process.wait(PATIENCE)
    assert os.path.lexists(path)
    with start_process(path, backend) as process:
        assert ask(path, b"second") == b"second\n"
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    assert not os.path.lexists(path)


def test_two_servers_do_not_share_a_path(path: str) -> None:
    first, second = new_server(path), new_server(path)
    with first, second:
        thread = NetworkServerThread(first)
        thread.start()
        try:
            failures: list[BaseException] = []

            def serve() -> None:
                try:
                    second.serve_forever()
                except OSError as exc:
                    failures.append(exc)

            other = threading.Thread(target=serve)
            other.start()
            other.join(PATIENCE)
            assert len(failures) == 1
            assert ask(path, b"still here") == b"still here\n"
        finally:
            thread.join(PATIENCE)
