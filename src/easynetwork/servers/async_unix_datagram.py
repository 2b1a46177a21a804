"""A server on a Unix datagram socket."""

from __future__ import annotations

__all__ = ["AsyncUnixDatagramServer"]

import errno
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, get_args

from easynetwork._checks import check_strictly_positive
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel._records import log
from easynetwork.lowlevel.api_async.backend.utils import BuiltinAsyncBackendLiteral
from easynetwork.lowlevel.api_async.servers.datagram import AsyncDatagramServer
from easynetwork.lowlevel.api_async.transports.abc import AsyncDatagramListener
from easynetwork.lowlevel.constants import DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
from easynetwork.lowlevel.socket import UnixSocketAddress, UNIXSocketAttribute
from easynetwork.protocol import DatagramProtocol
from easynetwork.servers._datagram_server import BaseAsyncDatagramServer, DatagramSender
from easynetwork.servers._unix_files import check_mode, listening_address
from easynetwork.servers._unix_server import UnixServer
from easynetwork.servers.handlers import AsyncDatagramRequestHandler, UNIXClientAttribute

if TYPE_CHECKING:
    from easynetwork.lowlevel._core.handler_generators import HandlerGenerator
    from easynetwork.lowlevel.api_async.backend.abc import AsyncBackend

_T_Request = TypeVar("_T_Request")
_T_Response = TypeVar("_T_Response")

UnnamedAddressesBehavior: TypeAlias = Literal["ignore", "warn", "handle"]


class AsyncUnixDatagramServer(
    UnixServer[AsyncDatagramServer[Any, Any, Any]],
    BaseAsyncDatagramServer[_T_Request, _T_Response, UnixSocketAddress],
    Generic[_T_Request, _T_Response],
):
    """A server on a Unix datagram socket that runs in a task.

    The file of a server that has died is taken over. Ours is deleted when the server is closed.

    Parameters:
        path: where to receive: a path, or an abstract name (Linux). An empty one has the system choose a name (Linux).
        protocol: what a packet is.
        request_handler: handles the requests. Those of one sender are handled one after the other.
        backend: the asynchronous library; None for the one that is running.
        mode: permissions of the socket file; None for what the umask of the process leaves.
        unnamed_addresses_behavior: what to do with datagrams of sockets that are not bound, and cannot be answered:
            ``"ignore"`` them (the default), ``"warn"`` in the log, or ``"handle"`` them like any other.
        receive_ancillary_data: whether handlers may ask for ancillary data.
        ancillary_bufsize: room for ancillary data in bytes, if it is received.
        logger: gets all log records; by default, the logger named after this module.

    Raises:
        TypeError: wrong type of *path*, *protocol*, *request_handler*, *backend* or *mode*.
        ValueError: *ancillary_bufsize* is no strictly positive integer, or given without *receive_ancillary_data*;
            *unnamed_addresses_behavior* is none of those above; *path* contains a NUL; *mode* is out of range.
    """

    __slots__ = ("_create_listener", "_unnamed_addresses_behavior")

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | UnixSocketAddress,
        protocol: DatagramProtocol[_T_Response, _T_Request],
        request_handler: AsyncDatagramRequestHandler[_T_Request, _T_Response],
        backend: AsyncBackend | BuiltinAsyncBackendLiteral | None = None,
        *,
        mode: int | None = None,
        unnamed_addresses_behavior: UnnamedAddressesBehavior | None = None,
        receive_ancillary_data: bool = False,
        ancillary_bufsize: int | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        address = listening_address(path)
        check_mode(mode)
        if unnamed_addresses_behavior is None:
            unnamed_addresses_behavior = "ignore"
        if unnamed_addresses_behavior not in get_args(UnnamedAddressesBehavior):
            raise ValueError(f"Unknown 'unnamed_addresses_behavior': {unnamed_addresses_behavior!r}")
        if not receive_ancillary_data:
            if ancillary_bufsize is not None:
                raise ValueError("'ancillary_bufsize' needs 'receive_ancillary_data'")
        elif ancillary_bufsize is None:
            ancillary_bufsize = DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
        else:
            check_strictly_positive("ancillary_bufsize", ancillary_bufsize)
        super().__init__(
            protocol,
            request_handler,
            backend,
            logger or logging.getLogger(__name__),
            ancillary_bufsize=ancillary_bufsize,
        )
        self._create_listener = partial(self._backend.create_unix_datagram_listener, address.as_raw(), mode=mode)
        self._unnamed_addresses_behavior = unnamed_addresses_behavior

    async def _open_listeners(self) -> Sequence[AsyncDatagramListener[Any]]:
        return [await self._create_listener()]

    def _new_client(
        self, lowlevel_server: AsyncDatagramServer[_T_Request, _T_Response, Any], address: Any
    ) -> _UnixDatagramClient[_T_Response]:
        return _UnixDatagramClient(self, lowlevel_server, address)

    def _handle(self, client: DatagramSender[_T_Response]) -> HandlerGenerator[_T_Request]:
        if client._address or self._unnamed_addresses_behavior == "handle":
            return super()._handle(client)
        if self._unnamed_addresses_behavior == "warn":
            log(self.logger, logging.WARNING, "A datagram was dropped: its sender has no address")
        return _discard()


async def _discard() -> AsyncGenerator[None, Any]:
    """A handler that never asks for the request."""
    return
    yield


class _UnixDatagramClient(DatagramSender[_T_Response]):
    __slots__ = ()

    @property
    def address(self) -> UnixSocketAddress:
        return UnixSocketAddress.from_raw(self._address or "")  # recvfrom() says None for no name

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        facts = self._lowlevel_server.extra_attributes
        return {
            **facts,
            UNIXClientAttribute.local_name: lambda: UnixSocketAddress.from_raw(facts[UNIXSocketAttribute.sockname]()),
            UNIXClientAttribute.peer_name: lambda: self.address,
        }

    def _check_can_send(self) -> None:
        super()._check_can_send()
        if not self._address:
            raise error_from_errno(errno.EINVAL, "The sender has no address: it cannot be answered")
