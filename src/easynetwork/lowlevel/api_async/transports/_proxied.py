"""A listener of connections that proxies forward: it takes their PROXY headers."""

from __future__ import annotations

__all__ = ["ProxiedListener"]

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from easynetwork.lowlevel._core.proxy_protocol import ProxyHeader, ProxyHeaderError, ProxyHeaderReader
from easynetwork.lowlevel._records import Logger, about, log, printable

from . import _hooks
from ._admission import Admission
from ._listener_wrapper import ListenerWrapper
from ._proxy_headers import keep_header
from ._tls_log import keep_peer_name
from .abc import AsyncListener, AsyncStreamTransport
from .utils import aclose_forcefully

if TYPE_CHECKING:
    from easynetwork.lowlevel.api_async.backend.abc import TaskGroup

_logger = logging.getLogger(__name__)


class ProxiedListener(ListenerWrapper[AsyncStreamTransport]):
    """Takes the PROXY header from each connection that another listener accepts, in the task of the connection.

    The connection is then handed on with its own transport, from which nothing but the header is taken. `header_of`
    returns the header.

    Parameters:
        listener: accepts the connections. The new listener owns it.
        is_trusted: returns whether a host, an address without port, is a proxy: its connections begin with a header.
        is_required: whether all others are refused. If false, they are served, and no header is looked for.
        timeout: the time limit for a header, in seconds.
        max_size: the maximum number of bytes of a header of version 2.
    """

    __slots__ = (
        "_is_required",
        "_is_trusted",
        "_listener_admits",
        "_logger",
        "_max_size",
        "_timeout",
    )

    def __init__(
        self,
        listener: AsyncListener[AsyncStreamTransport],
        is_trusted: Callable[[str], bool],
        *,
        is_required: bool,
        timeout: float,
        max_size: int,
    ) -> None:
        super().__init__(listener)
        self._is_trusted = is_trusted
        self._is_required = is_required
        self._timeout = timeout
        self._max_size = max_size
        self._logger: Logger = _logger  # servers replace it with their own logger
        self._listener_admits = True

    async def serve(
        self,
        handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]],
        task_group: TaskGroup | None = None,
    ) -> NoReturn:
        """Accept connections until cancelled or closed.

        A connection that is refused, or has no valid header in time, is closed abruptly and never reaches *handler*.

        Raises:
            BusyResourceError: another task is serving.
            OSError: ``EBADF`` if the listener is closed.
        """
        serve_connection: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]]
        serve_connection = partial(self._serve_connection, handler)
        if self._admission is not None and not self._listener_admits:
            serve_connection = self._admission.in_task(serve_connection)
        await self._listener.serve(serve_connection, task_group)

    def _serve_connection(
        self, handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]], transport: AsyncStreamTransport
    ) -> Coroutine[Any, Any, None]:
        # An ordinary function: without a header, the handler prepares the transport before its task begins.
        try:
            peer = _hooks.keep_names(transport)(transport)[1]
            is_trusted = self._is_trusted(peer[0])
        except Exception:  # the peer has already left, or has no internet address
            return aclose_forcefully(transport)
        if is_trusted:
            return self._serve_proxied(handler, transport)
        if self._is_required:
            name = keep_peer_name(transport)()
            log(self._logger, logging.WARNING, "%s: refused, it is not a trusted proxy", name, extra=about(name))
            return aclose_forcefully(transport)
        if self._admission is not None and not self._admission.admit_address(transport, peer):
            return aclose_forcefully(transport)
        return handler(transport)

    async def _serve_proxied(
        self, handler: Callable[[AsyncStreamTransport], Coroutine[Any, Any, None]], transport: AsyncStreamTransport
    ) -> None:
        get_peer_name = keep_peer_name(transport)
        try:
            header = await self._read_header(transport)
        except Exception as exc:
            _log_failure(self._logger, get_peer_name(), exc)
            return
        if self._admission is not None and not self._admission.admit_address(transport, header.client):
            await aclose_forcefully(transport)
            return
        keep_header(transport, header)
        handling = handler(transport)
        del transport, get_peer_name, header
        await handling

    async def _read_header(self, transport: AsyncStreamTransport) -> ProxyHeader:
        reader = ProxyHeaderReader(self._max_size)
        try:
            with transport.backend().timeout(self._timeout):
                while (header := reader.header) is None:
                    data = await transport.recv(reader.wanted())
                    if not data:
                        if reader.nbytes:
                            raise ProxyHeaderError("the connection ended in the middle of it")
                        raise ConnectionAbortedError("the connection ended before it")
                    reader.feed(data)
        except BaseException:
            await aclose_forcefully(transport)
            raise
        return header

    def _hook_set_admission(self, admission: Admission) -> bool:
        self._admission = admission
        admission.has_headers = True
        self._listener_admits = _hooks.set_admission(self._listener, admission)
        return True


def _log_failure(logger: Logger, peer: str, exc: Exception) -> None:
    """Log one line: *peer* has sent no valid header.

    The level is ``WARNING``: the settings of a trusted proxy are wrong. It is ``DEBUG`` if the proxy connected and
    left, as simple health checks do all day.
    """
    is_late = isinstance(exc, TimeoutError)
    log(
        logger,
        logging.DEBUG if isinstance(exc, OSError) and not is_late else logging.WARNING,
        "%s: no valid PROXY header: %s",
        peer,
        "it is late" if is_late else printable(str(exc)) or type(exc).__name__,
        exc_info=None if isinstance(exc, OSError | ProxyHeaderError) else exc,
        extra=about(peer),
    )
