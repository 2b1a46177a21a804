"""Records of TLS 1.3 that a test makes itself. Python can neither update keys nor pad records."""

from __future__ import annotations

__all__ = ["RecordMaker"]

import hmac
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from easynetwork.lowlevel._core.tls_engine import TLSEngine

_CIPHER = "TLS_AES_256_GCM_SHA384"
_HANDSHAKE, _APPLICATION_DATA = 22, 23


class RecordMaker:
    """Makes the records that one side sends after the handshake, instead of its engine.

    Parameters:
        engine: the engine of that side. It has encrypted nothing since the handshake.
        key_log: the `ssl.SSLContext.keylog_filename` of its context, or of the other side's. It has the keys of one
            connection.
    """

    def __init__(self, engine: TLSEngine, key_log: Path) -> None:
        cipher = engine.ssl_object.cipher()
        assert cipher is not None
        assert cipher[0] == _CIPHER, "these records need another hash"
        label = "SERVER" if engine.ssl_object.server_side else "CLIENT"
        (secret,) = [
            line.split()[2] for line in key_log.read_text().splitlines() if line.startswith(f"{label}_TRAFFIC_SECRET_0")
        ]
        self._use(bytes.fromhex(secret))

    def _use(self, secret: bytes) -> None:
        """Derive the keys: :rfc:`8446`, section 7.3."""
        self._secret = secret
        self._cipher = AESGCM(_expand(secret, b"key", 32))
        self._iv = int.from_bytes(_expand(secret, b"iv", 12))
        self._number = 0

    def data(self, data: bytes, *, padding: int = 0) -> bytes:
        """Return a record with *data*: :rfc:`8446`, section 5.2."""
        return self._record(data, _APPLICATION_DATA, padding)

    def key_update(self, *, asks: bool = False, padding: int = 0) -> bytes:
        """Return a record with a key update, and use the new keys: :rfc:`8446`, section 4.6.3.

        Parameters:
            asks: ask the peer to update its keys too.
            padding: number of zeros to append.
        """
        record = self._record(b"\x18\0\0\1" + bytes([asks]), _HANDSHAKE, padding)
        self._use(_expand(self._secret, b"traffic upd", 48))
        return record

    def _record(self, content: bytes, content_type: int, padding: int) -> bytes:
        content += bytes([content_type]) + bytes(padding)
        header = b"\x17\x03\x03" + (len(content) + 16).to_bytes(2)
        nonce = (self._iv ^ self._number).to_bytes(12)
        self._number += 1
        return header + self._cipher.encrypt(nonce, content, header)


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with SHA-384, for a length of one block: :rfc:`8446`, section 7.1."""
    label = b"tls13 " + label
    return hmac.digest(secret, length.to_bytes(2) + bytes([len(label)]) + label + b"\0\1", "sha384")[:length]
