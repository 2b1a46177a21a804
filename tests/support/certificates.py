"""Throw-away certificates, and contexts that use them."""

from __future__ import annotations

__all__ = ["VERSIONS", "Certificates", "the_certificates"]

import contextlib
import functools
import ssl

import trustme

VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
"""The versions of TLS that are tested, by the names that `ssl.SSLObject.version` gives them."""


class Certificates:
    """An authority, and the certificates it has issued: two to a server with many names, and one to a client."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._server = self._authority.issue_cert("localhost", "127.0.0.1", "::1", "server.example")
        self._renewed = self._authority.issue_cert("localhost", "127.0.0.1", "::1", "server.example")
        self._client = self._authority.issue_cert("client@example.org", common_name="a client")

    def authority_file(self) -> contextlib.AbstractContextManager[str]:
        """Write the certificate of the authority to a file, for the length of a context. Give its path."""
        return self._authority.cert_pem.tempfile()

    def server_file(self) -> contextlib.AbstractContextManager[str]:
        """Write the key and the certificates of the server to a file, for the length of a context. Give its path."""
        return self._server.private_key_and_cert_chain_pem.tempfile()

    def server_pem(self, *, renewed: bool = False) -> bytes:
        """Return what `server_file` writes, or its successor."""
        return (self._renewed if renewed else self._server).private_key_and_cert_chain_pem.bytes()

    def server_certificate(self, *, renewed: bool = False) -> bytes:
        """Return the certificate of the server, or its successor, in the binary form of `SSLObject.getpeercert`."""
        certificate = (self._renewed if renewed else self._server).cert_chain_pems[0]
        return ssl.PEM_cert_to_DER_cert(certificate.bytes().decode())

    def server_context(
        self, version: str | None = None, *, ask_client: bool = False, renewed: bool = False
    ) -> ssl.SSLContext:
        """Return the settings of a server, for any version or a certain one.

        Parameters:
            version: a key of `VERSIONS`.
            ask_client: require a certificate of the client.
            renewed: have the second certificate of the server.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (self._renewed if renewed else self._server).configure_cert(context)
        if ask_client:
            self._authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return _restrict(context, version)

    def client_context(
        self, version: str | None = None, *, trusting: bool = True, with_certificate: bool = False
    ) -> ssl.SSLContext:
        """Return the settings of a client.

        Parameters:
            version: a key of `VERSIONS`.
            trusting: trust our authority only; if false, trust no authority.
            with_certificate: have a certificate to show.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if trusting:
            self._authority.configure_trust(context)
        if with_certificate:
            self._client.configure_cert(context)
        return _restrict(context, version)


def _restrict(context: ssl.SSLContext, version: str | None) -> ssl.SSLContext:
    if version is not None:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    return context


@functools.cache
def the_certificates() -> Certificates:
    """Return the certificates that all tests share."""
    return Certificates()
