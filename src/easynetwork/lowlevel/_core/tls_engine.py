"""One TLS connection without any I/O: ciphertext and plaintext, in and out. See :rfc:`8446`."""

from __future__ import annotations

__all__ = ["TLSEngine", "check_ssl_context"]

import errno
from typing import TYPE_CHECKING, Final

from .errors import error_from_errno

try:
    import ssl
except ImportError:  # Python without TLS: nobody has a context to make an engine of
    ssl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from ssl import SSLContext, SSLSession

_MAX_PLAINTEXT: Final = 16384
"""Largest plaintext of one record, in bytes (:rfc:`8446`, section 5.1). One read takes one record, whole."""


def check_ssl_context(context: object, *, server_side: bool) -> None:
    """Refuse what cannot be the context of that side of a connection.

    Raises:
        TypeError: *context* is not an `ssl.SSLContext`.
        ValueError: it is for the other side only.
    """
    if ssl is None or not isinstance(context, ssl.SSLContext):  # type: ignore[redundant-expr]
        kinds = "an ssl.SSLContext with the certificate of the server" if server_side else "an ssl.SSLContext"
        raise TypeError(f"TLS needs {kinds}, got {context!r}")
    if context.protocol == (ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER):
        sides = ("servers", "clients") if server_side else ("clients", "servers")
        raise ValueError(f"A TLS context for {sides[0]} is needed, got one that is for {sides[1]} only: {context!r}")


class TLSEngine:
    """Ciphertext goes in by `decrypt`, what is to be sent comes out by `take_outgoing`.

    Whatever was called, look at `has_outgoing` afterwards: reading may have to write (key updates, alerts), and writing
    to wait for a read (renegotiation in TLS 1.2).

    Parameters:
        context: settings and certificates.
        server_side: which side of the handshake to play.
        server_hostname: the name that the certificate of the server has to be valid for.
        session: the session to resume, for clients up to TLS 1.2.
        standard_compatible: whether a stream that ends without a closing alert is an error.

    Raises:
        TypeError: *context* is not an `ssl.SSLContext`.
        ValueError: *context* is for the other side; it wants to check the name of the server, and there is no
            *server_hostname*.
    """

    __slots__ = (
        "_incoming",
        "_outgoing",
        "_read",
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
    ) -> None:
        check_ssl_context(context, server_side=server_side)
        if context.check_hostname and not (server_side or server_hostname):
            # `ssl.SSLSocket` refuses this too; `ssl.SSLObject` would check nothing, and say nothing.
            raise ValueError("'server_hostname' is required: the context is to check it ('check_hostname')")
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._unsent: list[bytes] = []  # plaintext that has to wait for the end of a renegotiation
        self.ssl_object: Final = context.wrap_bio(
            self._incoming, self._outgoing, server_side, server_hostname or None, session
        )
        self._read: Final = self.ssl_object.read
        self._write: Final = self.ssl_object.write
        self.standard_compatible: Final = standard_compatible
        self.ended: bool = False
        """There will be no more plaintext."""
        self.closed_by_peer: bool = False
        """The closing alert of the peer has come. What is sent still reaches it, until this side closes, too."""
        self.failure: Exception | None = None
        """Why the connection cannot be used any more, in either direction."""

    def handshake(self, ciphertext: bytes = b"") -> bool:
        """Goes on with the handshake as far as possible. Returns whether it is complete.

        Raises:
            ssl.SSLError: the two sides cannot agree, or a certificate is refused. There may be an alert to send.
            ssl.SSLEOFError: the peer has ended the stream (`feed_eof`).
        """
        if ciphertext:
            self._incoming.write(ciphertext)
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            if self.ended:
                raise _eof_error("The connection ended during the TLS handshake") from None
            return False
        return True

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Returns the plaintext that has become complete, possibly none. Look at `ended` afterwards."""
        if self.ended:
            return b""  # OpenSSL would keep what it is given, however much that is, and never look at it
        incoming = self._incoming
        try:
            if ciphertext:
                incoming.write(ciphertext)
            plaintext = self._read(_MAX_PLAINTEXT)
            if plaintext and not (incoming.pending or self._unsent):  # the common case raises no SSLWantReadError
                return plaintext
        except ssl.SSLError as exc:
            plaintext = b""
            self._note(exc)
        else:
            plaintext = self._decrypt_rest(plaintext)
        if self._unsent and not self.ended:
            self._send_unsent()
        return plaintext

    def _decrypt_rest(self, plaintext: bytes) -> bytes:
        pieces = [plaintext]
        try:
            while plaintext and self._incoming.pending:
                plaintext = self._read(_MAX_PLAINTEXT)
                pieces.append(plaintext)
        except ssl.SSLError as exc:
            self._note(exc)
        if not plaintext:
            self._note_close()
        return b"".join(pieces)

    def feed_eof(self) -> None:
        """Tells that the peer has ended the stream below TLS."""
        # OpenSSL is not asked: its answer depends on its version, on the options of the context, and on the state of
        # the handshake. There is nothing in it that was not read.
        if not self.ended:
            self.ended = True
            if self.standard_compatible:
                self.fail(_eof_error("The connection ended, and TLS was not closed before"))

    def _note(self, exc: ssl.SSLError) -> None:
        if isinstance(exc, ssl.SSLWantReadError):
            return
        if isinstance(exc, ssl.SSLZeroReturnError):
            self._note_close()
        else:
            self.fail(exc)

    def _note_close(self) -> None:
        """Note the closing alert of the peer. It ends one direction only: :rfc:`8446`, section 6.1.

        TLS 1.2 wants an alert back at once (:rfc:`5246`, section 7.2.1). OpenSSL does not insist on it, and peers that
        have closed their direction wait for their answers with both versions.
        """
        self.ended = self.closed_by_peer = True
        if self._unsent:
            self._fail_unfinished()

    def _fail_unfinished(self) -> None:
        self.fail(error_from_errno(errno.ECONNRESET, "the peer has closed TLS in the midst of a renegotiation"))

    def fail(self, exc: Exception) -> None:
        """Notes that the connection is of no use any more. The first reason counts."""
        self.ended = True
        if self.failure is None:
            self.failure = exc
        self._unsent.clear()

    def encrypt(self, plaintext: bytes) -> None:
        """Makes records of *plaintext*."""
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
    def must_receive(self) -> bool:
        """Whether plaintext waits until something has been received."""
        return bool(self._unsent)

    @property
    def awaits_tickets(self) -> bool:
        """Whether the server may be about to send session tickets, unasked (:rfc:`8446`, section 4.6.1)."""
        ssl_object = self.ssl_object
        if self.ended or ssl_object.server_side or ssl_object.version() != "TLSv1.3":
            return False
        session = ssl_object.session
        return session is not None and not session.has_ticket

    @property
    def has_outgoing(self) -> bool:
        """Whether there is ciphertext to send."""
        return self._outgoing.pending > 0

    def take_outgoing(self) -> bytes:
        """Returns the ciphertext to send, and forgets it."""
        return self._outgoing.read()

    def close(self) -> None:
        """Makes the closing alert. Receiving stays possible, until that of the peer has come."""
        try:
            self.ssl_object.unwrap()
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLError, ValueError) as exc:  # before the handshake there is nothing to close
            self.fail(exc)


def _eof_error(text: str) -> ssl.SSLEOFError:
    """Returns the error that OpenSSL would make."""
    exc = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, text)
    vars(exc).update(library="SSL", reason="UNEXPECTED_EOF_WHILE_READING")
    return exc
