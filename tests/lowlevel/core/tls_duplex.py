"""Two TLS engines, and the wire between them in the hands of a test."""

from __future__ import annotations

__all__ = ["Duplex", "cut", "records"]

import itertools
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.certificates import Certificates

from easynetwork.lowlevel._core.tls_engine import TLSEngine


class Duplex:
    """A client and a server that have not yet begun."""

    def __init__(
        self,
        certificates: Certificates,
        version: str | None = None,
        *,
        client_context: ssl.SSLContext | None = None,
        server_context: ssl.SSLContext | None = None,
        standard_compatible: bool = True,
        follows_plaintext: bool = False,
        **client_options: Any,
    ) -> None:
        self.client = TLSEngine(
            client_context or certificates.client_context(version),
            server_side=False,
            standard_compatible=standard_compatible,
            follows_plaintext=follows_plaintext,
            **{"server_hostname": "localhost", **client_options},
        )
        self.server = TLSEngine(
            server_context or certificates.server_context(version),
            server_side=True,
            standard_compatible=standard_compatible,
            follows_plaintext=follows_plaintext,
        )

    def shake_hands(self, pieces: Sequence[int] | int | None = None) -> None:
        """Do the whole handshake, and let the session tickets through.

        Parameters:
            pieces: how the wire cuts what is sent, see `cut`.
        """
        is_client_done = self.client.handshake()
        is_server_done = False
        while not (is_client_done and is_server_done):
            to_server, to_client = self.client.take_outgoing(), self.server.take_outgoing()
            assert to_server or to_client, "both are waiting"
            for piece in cut(to_server, pieces):
                is_server_done = self.server.handshake(piece)
            for piece in cut(to_client, pieces):
                is_client_done = self.client.handshake(piece)
        assert self.client.decrypt(self.server.take_outgoing()) == b""
        assert not self.client.has_outgoing


def cut(data: bytes, pieces: Sequence[int] | int | None) -> Iterator[bytes]:
    """Cut *data* nowhere (None), into pieces of a size, or of sizes that are taken in turn."""
    sizes = itertools.cycle([pieces or len(data)] if isinstance(pieces, int | None) else pieces)
    while data:
        size = next(sizes)
        yield data[:size]
        data = data[size:]


def records(ciphertext: bytes) -> list[bytes]:
    """Cut *ciphertext* into its records: :rfc:`8446`, section 5.1."""
    found = []
    while ciphertext:
        size = 5 + int.from_bytes(ciphertext[3:5])
        found.append(ciphertext[:size])
        ciphertext = ciphertext[size:]
    return found
