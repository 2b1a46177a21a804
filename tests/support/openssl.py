"""The program ``openssl``: a TLS peer that shares no code with the library, nor with Python."""

from __future__ import annotations

__all__ = ["OpenSSL", "needs_openssl", "s_client", "s_server"]

import contextlib
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import IO

import pytest
from tests.support.certificates import Certificates

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")

PATIENCE = 10.0

_OPTIONS = {"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}


class OpenSSL:
    """A running ``openssl s_client`` or ``openssl s_server``. Its input is what it sends, line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.output = b""

    def type(self, text: bytes) -> None:
        """Type data, or a command, which is a line of one letter. Type each by a call of its own."""
        stdin = self._stream(self.process.stdin)
        stdin.write(text)
        stdin.flush()

    def end_input(self) -> None:
        self._stream(self.process.stdin).close()

    def wait_for(self, text: bytes) -> bytes:
        """Wait until *text* was printed. Return the output up to its end, and forget it."""
        stdout = self._stream(self.process.stdout)
        deadline = time.monotonic() + PATIENCE
        while text not in self.output:
            readable, _, _ = select.select([stdout], [], [], max(0, deadline - time.monotonic()))
            piece = stdout.read1() if readable else b""  # type: ignore[attr-defined]  # it is a BufferedReader
            assert piece, f"no {text!r} in {self.output!r}"
            self.output += piece
        before, _, self.output = self.output.partition(text)
        return before + text

    def wait_for_handshake(self) -> None:
        """Wait until a server has shaken hands, and reads its input."""
        self.wait_for(b"CIPHER is ")  # further lines depend on the versions of TLS and of the program
        self.wait_for(b"\n")

    @staticmethod
    def _stream(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream


@contextlib.contextmanager
def _running(*arguments: str) -> Iterator[OpenSSL]:
    process = subprocess.Popen(
        ["openssl", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process:
        try:
            yield OpenSSL(process)
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()


@contextlib.contextmanager
def s_server(certificates: Certificates, version: str, *options: str) -> Iterator[tuple[OpenSSL, tuple[str, int]]]:
    """Run a server of one connection. Give the program and its address."""
    with (
        certificates.server_file() as server_file,
        _running(
            "s_server", _OPTIONS[version], "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", server_file, *options
        ) as openssl,
    ):
        openssl.wait_for(b"ACCEPT ")
        address = openssl.wait_for(b"\n").decode().strip()
        yield openssl, ("127.0.0.1", int(address.rpartition(":")[2]))


@contextlib.contextmanager
def s_client(certificates: Certificates, version: str, address: tuple[str, int], *options: str) -> Iterator[OpenSSL]:
    """Run a client that requires a valid certificate of the server."""
    strict = ["-verify_return_error", "-verify_hostname", "localhost", "-servername", "localhost"]
    with (
        certificates.authority_file() as authority_file,
        _running(
            "s_client",
            _OPTIONS[version],
            "-connect",
            f"{address[0]}:{address[1]}",
            "-CAfile",
            authority_file,
            *strict,
            *options,
        ) as openssl,
    ):
        yield openssl
