"""The far end of a TLS connection, over any other peer."""

from __future__ import annotations

__all__ = ["TLSPeer"]

import ssl
from typing import Final

from .peers import StreamPeer

_RECORD: Final = 1 << 14


class TLSPeer(StreamPeer):
    """One side of TLS, with nothing but the `ssl` module. The handshake goes on whenever something is sent or received.

    Parameters:
        lower: carries the ciphertext.
        context: settings and certificates.
        server_side: which side of the handshake to play.
        server_hostname: the name that the certificate of a server has to be valid for.
    """

    def __init__(
        self,
        lower: StreamPeer,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self._lower = lower
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname)
        self._shaken_hands = False
        self.socket = lower.socket

    def send(self, data: memoryview) -> int:
        if not data or not self.shake_hands() or not self.flush():
            return 0
        sent = self._tls.write(data[:_RECORD])
        self.flush()
        return sent

    def receive(self, bufsize: int) -> bytes | None:
        if not self.shake_hands():
            return None
        while True:
            try:
                return self._tls.read(bufsize)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                if not self._feed():
                    return None
            finally:
                self.flush()

    def shake_hands(self) -> bool:
        while not self._shaken_hands:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                if not self._feed():
                    return False
            else:
                self._shaken_hands = True
                self.flush()
        return True

    def send_eof(self) -> None:
        """Send the closing alert."""
        try:
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def cut(self) -> None:
        """End the stream below, without a closing alert."""
        self._lower.send_eof()

    def send_raw(self, data: bytes) -> None:
        """Send *data* as it is, unencrypted."""
        self._unsent += data
        self.flush()

    def reset(self) -> None:
        self._lower.reset()

    def close(self) -> None:
        self._lower.close()

    def flush(self) -> bool:
        self._unsent += self._outgoing.read()
        while self._unsent:
            sent = self._lower.send(memoryview(self._unsent))
            if not sent:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _feed(self) -> bool:
        data = self._lower.receive(_RECORD)
        if data is None:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True
