"""A throw-away certificate for the TLS servers, and a client context that trusts it."""

from __future__ import annotations

import atexit
import shutil
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.process import ProgramError

if TYPE_CHECKING:
    import trustme

__all__ = ["certificate", "client_context"]


@cache
def _authority() -> trustme.CA:
    try:
        import trustme  # import late: only TLS needs it
    except ImportError as error:
        raise ProgramError("TLS needs the package trustme: install the extra `benchmarks`") from error
    return trustme.CA()


@cache
def certificate() -> Path:
    """Return a PEM file with the certificate chain and key for 127.0.0.1. This process deletes it at exit."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "server.pem"
    _authority().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    return path


@cache
def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context
