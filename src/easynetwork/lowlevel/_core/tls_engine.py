"""A TLS connection without I/O: ciphertext and plaintext, in and out. See :rfc:`8446`."""

from __future__ import annotations

__all__ = ["TLSEngine", "check_has_certificate", "check_server_hostname", "check_ssl_context"]

import errno
import ipaddress
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .client_hello import ServerNameReader
from .errors import error_from_errno

try:
    import ssl
except ImportError:  # Python without TLS: TLS contexts do not exist either
    ssl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSession

_MAX_PLAINTEXT: Final = 16384
"""Maximum plaintext of one record, in bytes (:rfc:`8446`, section 5.1). A read of this size takes a whole record."""

_FEW: Final = 4096
"""Number of bytes that OpenSSL may always work off at once. 4 KiB of key updates take about 2 ms."""

_MANY: Final = 64 * 1024
"""Maximum number of bytes that OpenSSL works off at once. Smaller slices would slow down bulk transfers."""

_SMALL_RECORD: Final = b"\x17\x03\x03\x00"
"""The start of an encrypted record below 256 bytes (:rfc:`8446`, section 5.2). It hardly ever occurs inside ciphertext,
which looks random. So the small records can be counted without knowing where the first one begins."""

_SMALL_RECORD_SIZE: Final = 5 + 255

_SMALL_RECORD_COST: Final = 1024

_MAX_IDLE: Final = 64 * 1024
"""Maximum cost of what a peer sends without plaintext: the number of bytes, plus `_SMALL_RECORD_COST` per small record.

A peer may have to send a record of 16 KiB, some session tickets, a chain of certificates or the messages of a
renegotiation before any plaintext can be decrypted. It never has to send dozens of small records without plaintext.
"""

_MAX_UNREAD_ANSWERS: Final = 256 * 1024
"""Maximum number of bytes that wait for a peer which requests answers (to key updates) but does not read them."""

_FIRST_RECORDS: Final = (21, 22)
"""Content types of the first record of a peer: an alert or a handshake message (:rfc:`8446`, section 5.1)."""


def check_ssl_context(context: object, *, server_side: bool) -> None:
    """Check that *context* is a TLS context for the given side.

    Raises:
        TypeError: *context* is not an `ssl.SSLContext`.
        ValueError: *context* is for the other side only.
    """
    if ssl is None or not isinstance(context, ssl.SSLContext):  # type: ignore[redundant-expr]
        kinds = "an ssl.SSLContext with the certificate of the server" if server_side else "an ssl.SSLContext"
        raise TypeError(f"TLS needs {kinds}, got {context!r}")
    if context.protocol == (ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER):
        sides = ("servers", "clients") if server_side else ("clients", "servers")
        raise ValueError(f"Expected a TLS context for {sides[0]}, got one for {sides[1]} only: {context!r}")


def check_has_certificate(context: SSLContext) -> None:
    """Check that *context* is a TLS context for servers, and has a certificate or can do without.

    The check calls no callback of *context* and changes nothing but its statistics. So it accepts each context with an
    ``sni_callback``, which may choose the certificate.

    Raises:
        TypeError: *context* is not an `ssl.SSLContext`.
        ValueError: *context* is for clients only; *context* has no certificate and needs one.
    """
    check_ssl_context(context, server_side=True)
    if not (context.sni_callback is not None or _has_certificate(context) or _can_do_without_certificate(context)):
        raise ValueError(f"The TLS context has no certificate, see SSLContext.load_cert_chain(): {context!r}")


def _has_certificate(context: SSLContext) -> bool:
    # Python does not tell which certificates a context has. So a server of our own borrows them, whatever versions and
    # cipher suites the context permits, and answers the first message of clients that together accept all certificates.
    # TLS 1.2 comes first: it has no keys yet that OpenSSL would write to the `keylog_filename` of the context.
    attempts = [(ssl.TLSVersion.TLSv1_2, curve) for curve in _CURVES] + [(ssl.TLSVersion.TLSv1_3, None)]
    for version, curve in attempts:
        server, client = (
            _permissive(side, "ALL:!aNULL:!PSK", version, curve)
            for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
        )
        server.sni_callback = lambda connection, name, own_context: setattr(connection, "context", context)
        if _refusal(server, client) is None:
            return True
    return False


_CURVES: Final = (None, "secp256k1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1")
"""The usual curves, and others, each of which a TLS 1.2 client must offer for a certificate that uses it."""


def _can_do_without_certificate(context: SSLContext) -> bool:
    """Return whether *context*, without a certificate, can use pre-shared keys or do without authentication."""
    client = _permissive(ssl.PROTOCOL_TLS_CLIENT, "aNULL:PSK", ssl.TLSVersion.TLSv1_2)
    if getattr(ssl, "HAS_PSK", False):  # Python 3.13
        # OpenSSL does not speak TLS 1.3 at all if it has neither certificates nor a callback for keys.
        newest = _permissive(ssl.PROTOCOL_TLS_CLIENT, "ALL", ssl.TLSVersion.TLSv1_3)
        if _refusal(context, newest) != "UNSUPPORTED_PROTOCOL":
            return True
        client.set_psk_client_callback(lambda hint: (None, b"never used"))  # type: ignore[attr-defined,unused-ignore]
    return _refusal(context, client) is None


def _permissive(side: int, suites: str, version: ssl.TLSVersion, curve: str | None = None) -> SSLContext:
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(f"{suites}:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    if curve is not None:
        with suppress(ValueError):  # this OpenSSL does not know it
            context.set_ecdh_curve(curve)
    return context


def _refusal(server: SSLContext, client: SSLContext) -> str | None:
    """Return why *server* refuses the first message of *client*, in the words of OpenSSL. None if it goes on."""
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    try:
        server.wrap_bio(hello, ssl.MemoryBIO(), server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        pass
    except ssl.SSLError as exc:
        return exc.reason or "unknown"
    return None


def check_server_hostname(context: SSLContext, server_hostname: str | None) -> None:
    """Raise `ValueError` if *context* must check the server's name, but *server_hostname* is missing.

    `ssl.SSLSocket` refuses this too, but `ssl.SSLObject` silently skips the check.
    """
    if context.check_hostname and not server_hostname:
        raise ValueError("'server_hostname' is required, because 'check_hostname' of the context is true")


class TLSEngine:
    """The state of a TLS connection. `decrypt` accepts ciphertext, and `take_outgoing` returns the output to send.

    Check `has_outgoing` after each call: a read may produce output (key updates, alerts), and a write may have to wait
    for a read (renegotiation in TLS 1.2).

    Parameters:
        context: the TLS settings and certificates.
        server_side: whether to act as the server.
        server_hostname: the name that the server's certificate must be valid for.
        session: the session to resume, for clients up to TLS 1.2.
        standard_compatible: whether a stream that ends without a closing alert is an error.
        follows_plaintext: whether unencrypted data was exchanged before. The first received bytes must then begin a TLS
            record.

    Raises:
        TypeError: *context* is not an `ssl.SSLContext`.
        ValueError: *context* is for the other side; or it must check the server's name, but *server_hostname* is
            missing.
    """

    __slots__ = (
        "_follows_plaintext",
        "_idle",
        "_incoming",
        "_name_reader",
        "_outgoing",
        "_read",
        "_server_name",
        "_unsent",
        "_write",
        "closed_by_peer",
        "ended",
        "failure",
        "ssl_object",
        "standard_compatible",
    )

    def __init__(
        self,
        context: SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
        session: SSLSession | None = None,
        standard_compatible: bool = True,
        follows_plaintext: bool = False,
    ) -> None:
        check_ssl_context(context, server_side=server_side)
        if not server_side:
            check_server_hostname(context, server_hostname)
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._unsent: list[bytes] = []  # plaintext that waits for the end of a renegotiation
        self.ssl_object: Final = context.wrap_bio(
            self._incoming, self._outgoing, server_side, server_hostname or None, session
        )
        self._read: Final = self.ssl_object.read
        self._write: Final = self.ssl_object.write
        self.standard_compatible: Final = standard_compatible
        self._idle = 0  # cost of what the peer has sent since the last plaintext, see `_MAX_IDLE`
        self._follows_plaintext = follows_plaintext  # until the first bytes have been checked
        self._name_reader = ServerNameReader() if server_side else None  # until it has seen the ClientHello
        self._server_name: str | None = None  # received by a server
        self.ended: bool = False
        """Whether the plaintext has ended."""
        self.closed_by_peer: bool = False
        """Whether the peer has sent its closing alert. The peer still receives data until this side closes too."""
        self.failure: Exception | None = None
        """The error that made the connection unusable in both directions, or None."""

    def handshake(self, ciphertext: bytes = b"") -> bool:
        """Continue the handshake as far as possible. Return whether it is complete.

        Raises:
            ssl.SSLError: the sides cannot agree, a certificate was refused, or plaintext arrived. An alert may have to
                be sent.
            ssl.SSLEOFError: the peer has ended the stream (`feed_eof`).
        """
        if ciphertext:
            if self._follows_plaintext:
                self._follows_plaintext = False
                _check_begins_tls(ciphertext)
            if self._name_reader is not None and self._name_reader.feed(ciphertext):
                self._server_name, self._name_reader = self._name_reader.name, None
            self._incoming.write(ciphertext)
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            if self.ended:
                raise _eof_error("The connection ended during the TLS handshake") from None
            return False
        return True

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return the plaintext that *ciphertext* completes, possibly none. Check `ended` afterwards.

        A peer that sends too much without plaintext, such as key updates at full speed, makes the connection fail.
        OpenSSL works off all such records in one read. Therefore it gets a chunk that begins with small records, or a
        very large one, in slices.
        """
        if self.ended:
            return b""  # OpenSSL would buffer the input without a limit and never read it
        incoming = self._incoming
        if not ciphertext:
            ciphertext = incoming.read()  # what followed the last message of the handshake
        size = len(ciphertext)
        if size > _FEW and (size > _MANY or _begins_with_small_record(ciphertext)):
            plaintext = self._decrypt_slices(ciphertext)
        else:
            try:
                incoming.write(ciphertext)
                plaintext = self._read(_MAX_PLAINTEXT)
                if (  # the common case avoids SSLWantReadError
                    plaintext
                    and not (incoming.pending or self._idle or self._unsent)
                    and (size <= _FEW or size < 2 * len(plaintext))
                ):
                    return plaintext
            except ssl.SSLError as exc:
                plaintext = b""
                self._note(exc)
                self._note_idle(ciphertext, 0, size, 0, 0)
            else:
                pieces = [plaintext]
                nbytes = self._decrypt_rest(pieces)
                self._note_idle(ciphertext, 0, size, nbytes, len(pieces))
                plaintext = b"".join(pieces)
        if self._unsent and not self.ended:
            self._send_unsent()
        return plaintext

    def _decrypt_rest(self, pieces: list[bytes]) -> int:
        """Append what OpenSSL has not read yet to *pieces*, which has one. Return the number of bytes in *pieces*."""
        plaintext = pieces[-1]
        nbytes = len(plaintext)
        try:
            while plaintext and self._incoming.pending:
                plaintext = self._read(_MAX_PLAINTEXT)
                nbytes += len(plaintext)
                pieces.append(plaintext)
        except ssl.SSLError as exc:
            self._note(exc)
        if not plaintext:
            self._note_close()
        return nbytes

    def _decrypt_slices(self, ciphertext: bytes) -> bytes:
        everything: list[bytes] = []
        stop = 0
        with memoryview(ciphertext) as view:
            while stop < len(view) and not self.ended:
                start, stop = stop, stop + _MANY
                if _begins_with_small_record(ciphertext, start):
                    stop = start + _MANY // 2 if start else _FEW
                pieces: list[bytes] = []
                nbytes = 0
                try:
                    self._incoming.write(view[start:stop])
                    pieces.append(self._read(_MAX_PLAINTEXT))
                except ssl.SSLError as exc:
                    self._note(exc)
                else:
                    nbytes = self._decrypt_rest(pieces)
                self._note_idle(ciphertext, start, min(stop, len(view)), nbytes, len(pieces))
                everything += pieces
        return b"".join(everything)

    def _note_idle(self, ciphertext: bytes, start: int, stop: int, nbytes: int, records: int) -> None:
        """Note that a slice of *ciphertext* had *nbytes* of plaintext in *records*. Fail if that is too little."""
        size = stop - start
        if not nbytes:
            self._idle += size
            if _begins_with_small_record(ciphertext, start):
                self._idle += _SMALL_RECORD_COST * ciphertext.count(_SMALL_RECORD, start, stop)
        elif size <= _FEW or size <= 2 * nbytes:
            self._idle = 0
            return
        else:  # there may be many small records without plaintext between those that have some
            self._idle = _SMALL_RECORD_COST * max(0, ciphertext.count(_SMALL_RECORD, start, stop) - records)
        if self._idle > _MAX_IDLE and not self.ended:
            self.fail(ssl.SSLError(ssl.SSL_ERROR_SSL, "the peer sent too many TLS messages without data"))

    def feed_eof(self) -> None:
        """Report that the peer has ended the stream beneath TLS."""
        # OpenSSL is not told. Its reaction depends on its version, the options of the context and the state of the
        # handshake, and it holds no unread input.
        if not self.ended:
            self.ended = True
            if self.standard_compatible:
                self.fail(_eof_error("The connection ended without a TLS closing alert"))

    def _note(self, exc: ssl.SSLError) -> None:
        if isinstance(exc, ssl.SSLWantReadError):
            return
        if isinstance(exc, ssl.SSLZeroReturnError):
            self._note_close()
        else:
            self.fail(exc)

    def _note_close(self) -> None:
        """Record the closing alert of the peer. It ends only the peer's direction (:rfc:`8446`, section 6.1).

        TLS 1.2 requires an immediate alert in response (:rfc:`5246`, section 7.2.1), but OpenSSL does not enforce that.
        With either version, a peer that has closed its direction may still wait for answers.
        """
        self.ended = self.closed_by_peer = True
        if self._unsent:
            self._fail_unfinished()

    def _fail_unfinished(self) -> None:
        self.fail(error_from_errno(errno.ECONNRESET, "the peer closed TLS in the middle of a renegotiation"))

    def fail(self, exc: Exception) -> None:
        """Mark the connection as unusable because of *exc*. Only the first error is kept."""
        self.ended = True
        if self.failure is None:
            self.failure = exc
        self._unsent.clear()

    def encrypt(self, plaintext: bytes) -> None:
        """Encrypt *plaintext* into records."""
        if self._unsent:
            self._unsent.append(plaintext)
            return
        if not plaintext:
            return
        written = 0
        try:
            written = self._write(plaintext)
            if written < len(plaintext):
                with memoryview(plaintext) as view:
                    while written < len(view):
                        written += self._write(view[written:])
        except ssl.SSLWantReadError:
            if self.ended:
                self._fail_unfinished()
            else:
                self._unsent.append(plaintext[written:])
        except ssl.SSLError as exc:
            self.fail(exc)

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, []
        self.encrypt(b"".join(unsent))

    @property
    def server_name(self) -> str | None:
        """The name of the server that the client has sent, in lower case. None if it has sent none."""
        if self.ssl_object.server_side:
            name = self._server_name
        elif (name := self.ssl_object.server_hostname) is not None and _is_ip_address(name):
            return None
        return None if name is None else name.lower()

    @property
    def must_receive(self) -> bool:
        """Whether unsent plaintext waits for input from the peer, which ends a renegotiation."""
        return bool(self._unsent)

    @property
    def awaits_tickets(self) -> bool:
        """Whether the server may still send unrequested session tickets (:rfc:`8446`, section 4.6.1)."""
        ssl_object = self.ssl_object
        if self.ended or ssl_object.server_side or ssl_object.version() != "TLSv1.3":
            return False
        session = ssl_object.session
        return session is not None and not session.has_ticket

    @property
    def has_outgoing(self) -> bool:
        """Whether there is ciphertext to send."""
        return self._outgoing.pending > 0

    @property
    def nbytes_outgoing(self) -> int:
        """The number of bytes of ciphertext to send."""
        return self._outgoing.pending

    def check_unread(self, nbytes: int) -> None:
        """Fail if *nbytes* are too many: the number of bytes that receiving has produced, and that cannot be sent."""
        if nbytes > _MAX_UNREAD_ANSWERS and not self.ended:
            self.fail(ssl.SSLError(ssl.SSL_ERROR_SSL, "the peer requests answers without reading them"))

    def take_outgoing(self) -> bytes:
        """Return the ciphertext to send, and remove it from the engine."""
        return self._outgoing.read()

    def close(self) -> None:
        """Create the closing alert. Input is still accepted until the closing alert of the peer arrives."""
        try:
            self.ssl_object.unwrap()
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, ValueError) as exc:  # nothing to close before the handshake
            self.fail(exc)


def _begins_with_small_record(ciphertext: bytes, start: int = 0) -> bool:
    """Return whether *ciphertext* from *start* on consists of small records, as far as its first bytes can tell."""
    return ciphertext.find(_SMALL_RECORD, start, start + _SMALL_RECORD_SIZE + len(_SMALL_RECORD)) >= 0


def _check_begins_tls(data: bytes) -> None:
    """Check that *data*, the first bytes after an exchange of plaintext, begins a TLS record.

    An attacker can append plaintext to the peer's request to start TLS. If the receiver decoded it after the handshake,
    it would look as if the authenticated peer had sent it.

    Raises:
        ssl.SSLError: *data* is plaintext.
    """
    if data[0] in _FIRST_RECORDS and data[1:2] in (b"\x03", b""):  # all versions of TLS are 3.x on the wire
        return
    raise ssl.SSLError(
        ssl.SSL_ERROR_SSL,
        f"{len(data)} bytes of plaintext arrived before the TLS handshake. An attacker may have injected them: see "
        "CVE-2011-0411 and CVE-2021-38371",
    )


def _is_ip_address(name: str) -> bool:
    """Return whether *name* is an IP address, which clients do not send (:rfc:`6066`, section 3)."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _eof_error(text: str) -> ssl.SSLEOFError:
    """Return the same error as OpenSSL."""
    exc = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, text)
    vars(exc).update(library="SSL", reason="UNEXPECTED_EOF_WHILE_READING")
    return exc
