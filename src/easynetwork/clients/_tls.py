"""TLS arguments of TCP clients."""

from __future__ import annotations

__all__ = ["tls_options", "upgrade_options"]

from typing import TYPE_CHECKING, Any

try:
    import ssl as _ssl
except ImportError:  # Python without TLS
    _ssl = None  # type: ignore[assignment]

from easynetwork._checks import check_string, check_timeouts
from easynetwork.lowlevel._core.tls_engine import check_server_hostname, check_ssl_context

if TYPE_CHECKING:
    from ssl import SSLContext


def tls_options(
    address: object,
    ssl: SSLContext | bool | None,
    *,
    server_hostname: str | None,
    ssl_handshake_timeout: float | None,
    ssl_shutdown_timeout: float | None,
    ssl_standard_compatible: bool | None,
) -> dict[str, Any] | None:
    """Return the keyword arguments to set up TLS on a client's connection, or None without TLS.

    Parameters:
        address: the first argument of the client: a socket, or a pair of host and port.
        ssl: a TLS context, or True for Python's default context.
        server_hostname: see the client; None for the host of *address*.
        ssl_handshake_timeout: see the client.
        ssl_shutdown_timeout: see the client.
        ssl_standard_compatible: see the client; True if None.

    Raises:
        TypeError: *ssl* is not a context or a bool; *server_hostname* is not a string.
        ValueError: *ssl* is a server-side context; a TLS argument is given without *ssl*; there is neither a
            *server_hostname* nor a host.
        RuntimeError: this Python was built without TLS.
    """
    others = (server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout, ssl_standard_compatible)
    if not ssl:
        if any(option is not None for option in others):
            raise ValueError("'server_hostname' and the 'ssl_*' arguments need 'ssl'")
        return None
    if _ssl is None:
        raise RuntimeError("TLS is not available: this Python was built without the 'ssl' module")
    if ssl is not True:
        check_ssl_context(ssl, server_side=False)
    if server_hostname is not None:
        check_string("server_hostname", server_hostname)
    else:
        match address:
            case (str(host), _) if name := _name_in_certificate(host):
                server_hostname = name
            case _:
                raise ValueError("'server_hostname' is required, because the address contains no host name")
    return {
        "ssl_context": _default_context(server_hostname) if ssl is True else ssl,
        "server_side": False,
        "server_hostname": server_hostname,
        "handshake_timeout": ssl_handshake_timeout,
        "shutdown_timeout": ssl_shutdown_timeout,
        "standard_compatible": True if ssl_standard_compatible is None else ssl_standard_compatible,
    }


def upgrade_options(address: object, ssl: SSLContext | bool, **options: Any) -> dict[str, Any]:
    """Return the keyword arguments to start TLS on a connection. Check all of them, as for `tls_options`."""
    tls = tls_options(address, ssl, **options)
    if tls is None:
        raise ValueError("'ssl' must be a TLS context or True")
    check_server_hostname(tls["ssl_context"], tls["server_hostname"])
    check_timeouts(
        ssl_handshake_timeout=options["ssl_handshake_timeout"], ssl_shutdown_timeout=options["ssl_shutdown_timeout"]
    )
    return tls


def _name_in_certificate(host: str) -> str:
    """Return *host* without its zone (:rfc:`6874`) or trailing dot (:rfc:`6066`, section 3)."""
    return host.partition("%")[0].removesuffix(".")


def _default_context(server_hostname: str) -> SSLContext:
    context = _ssl.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    if hasattr(_ssl, "OP_IGNORE_UNEXPECTED_EOF"):
        context.options &= ~_ssl.OP_IGNORE_UNEXPECTED_EOF
    return context
