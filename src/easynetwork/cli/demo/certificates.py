"""Throw-away certificates."""

from __future__ import annotations

__all__ = ["client_context", "make_certificates", "server_context"]

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from easynetwork.cli.errors import CommandError

if TYPE_CHECKING:
    from ssl import SSLContext

_AUTHORITY = "authority.pem"
_SERVER = "server.pem"


def make_certificates(folder: Path) -> None:
    """Write the certificate of a new authority to *folder*, and a server certificate with its key.

    Raises:
        CommandError: this Python has no TLS, or trustme is not installed (status 2).
    """
    try:
        import ssl  # noqa: F401
    except ImportError:
        raise CommandError("the transport tls needs TLS, but this Python has no ssl module", status=2) from None
    try:
        import trustme
    except ImportError:
        raise CommandError(
            "the transport tls needs trustme to create certificates: pip install 'easynetwork-uvloop[cli]'", status=2
        ) from None
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / _AUTHORITY))
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / _SERVER))


def server_context(folder: Path) -> SSLContext:
    """Return the TLS context of a server with the certificate in *folder*."""
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / _SERVER)
    return context


@cache
def client_context(folder: Path) -> SSLContext:
    """Return the TLS context of all clients. It trusts only the authority in *folder*."""
    import ssl

    return ssl.create_default_context(cafile=folder / _AUTHORITY)
