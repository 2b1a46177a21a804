"""Control messages of Unix sockets: file descriptors and credentials sent along with data, :manpage:`unix(7)`."""

from __future__ import annotations

__all__ = [
    "HAS_CREDENTIALS",
    "MSG_CTRUNC",
    "RECVMSG_FLAGS",
    "SCMCredentials",
    "SCMRights",
    "SocketAncillary",
    "SocketAncillaryMessages",
    "SocketCredential",
    "close_descriptors",
    "send_message",
    "truncation_error",
    "whole_messages",
]

import errno
import os
import socket as _socket
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import Any, Final, NamedTuple, TypeAlias, final

from easynetwork._final import refuse_subclasses
from easynetwork._typing import ReadableBuffer
from easynetwork.lowlevel._core.ancillary import TruncatedMessages
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel.constants import SC_IOV_MAX, SCM_CREDENTIALS

HAS_CREDENTIALS: Final[bool] = SCM_CREDENTIALS is not None and sys.platform != "darwin"
"""Whether processes can send credentials to each other on this platform."""

RECVMSG_FLAGS: Final[int] = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
"""Flags for recvmsg(2). Received file descriptors are not inherited by child programs (:pep:`446`)."""

MSG_CTRUNC: Final[int] = getattr(_socket, "MSG_CTRUNC", 0)
"""Flag of truncated control messages: the buffer was too small, or the process has no free descriptors."""

_INT_SIZE: Final[int] = array("i").itemsize
_SCM_RIGHTS: Final[int | None] = getattr(_socket, "SCM_RIGHTS", None)

# Process, user and group in the structure of each platform. Padding covers the fields that are not exposed here.
if sys.platform.startswith("freebsd"):
    _CREDENTIAL: Final[Struct] = Struct("@4xiI4xI12x")  # struct sockcred2
elif sys.platform.startswith("netbsd"):
    _CREDENTIAL: Final[Struct] = Struct("@iI4xI12x")  # struct sockcred
else:
    _CREDENTIAL: Final[Struct] = Struct("@iII")  # struct ucred


class SocketCredential(NamedTuple):
    """The identity of a process: sent by one end of a Unix socket, verified by the kernel."""

    pid: int = 0
    """Process id. When sending, 0 means the current process."""

    uid: int = 0
    """User id."""

    gid: int = 0
    """Group id."""


@final
@refuse_subclasses
@dataclass(frozen=True, slots=True, eq=False)
class SCMRights:
    """A control message with open file descriptors."""

    fds: Iterator[int]
    """File descriptors. The receiver owns them and must close them."""


@final
@refuse_subclasses
@dataclass(frozen=True, slots=True, eq=False)
class SCMCredentials:
    """A control message with credentials."""

    credentials: Iterator[SocketCredential]
    """Credentials of the sender, verified by the kernel."""


SocketAncillaryMessages: TypeAlias = SCMRights | SCMCredentials


@final
@refuse_subclasses
class SocketAncillary:
    """The control messages sent or received with data, at most one of each kind. Items of one kind are merged.

    File descriptors are plain integers here. This object never duplicates or closes them.
    """

    __slots__ = ("__weakref__", "_payloads")

    def __init__(self) -> None:
        # Packed payload per message type, in order of first insertion: as_raw() must return what recvmsg() returned.
        # All supported messages have the level SOL_SOCKET.
        self._payloads: dict[int, bytearray] = {}

    def _extend(self, type_: int, payload: bytes) -> None:
        self._payloads.setdefault(type_, bytearray()).extend(payload)

    def add_fds(self, fds: Iterable[int]) -> None:
        """Append file descriptors to the message of open files. If an error is raised, none is added.

        Raises:
            TypeError: an item is not an integer.
            OverflowError: an item does not fit in a C ``int``.
        """
        # iter(), because array() interprets bytes as its own memory layout.
        self._extend(_socket.SCM_RIGHTS, array("i", iter(fds)).tobytes())

    if SCM_CREDENTIALS is not None and HAS_CREDENTIALS:

        def add_creds(self, credentials: Iterable[SocketCredential]) -> None:
            """Append credentials to the message of credentials. If an error is raised, none is added.

            When sending, Linux accepts one item per message. An unprivileged process can only send its own identity.

            Raises:
                TypeError: an item is not a `SocketCredential`.
                ValueError: a number is not a valid process, user or group id.
            """
            assert SCM_CREDENTIALS is not None
            self._extend(SCM_CREDENTIALS, b"".join([_pack_credential(item) for item in credentials]))

    def as_raw(self) -> list[tuple[int, int, bytes]]:
        """Return a new list of ``(level, type, data)`` for `socket.socket.sendmsg`, without empty messages."""
        return [(_socket.SOL_SOCKET, type_, bytes(payload)) for type_, payload in self._payloads.items() if payload]

    def messages(self) -> Iterator[SocketAncillaryMessages]:
        """Iterate over the non-empty messages in order of first insertion::

            for message in ancillary.messages():
                match message:
                    case SCMRights(fds): ...
                    case SCMCredentials(credentials): ...

        Each kind occurs at most once.
        """
        for _, type_, payload in self.as_raw():
            if type_ == _socket.SCM_RIGHTS:
                yield SCMRights(iter(array("i", payload)))
            else:
                yield SCMCredentials(map(SocketCredential._make, _CREDENTIAL.iter_unpack(payload)))

    def iter_fds(self) -> Iterator[int]:
        """Return an iterator over all file descriptors."""
        return iter(array("i", self._payloads.get(_socket.SCM_RIGHTS, b"")))

    def update_from_raw(self, messages: Iterable[tuple[int, int, ReadableBuffer]]) -> None:
        """Add the messages that `socket.socket.recvmsg` returned. Ignore unknown kinds.

        If the kernel truncated a message (``MSG_CTRUNC``), its incomplete last item is dropped.

        Raises:
            ExceptionGroup: some entries are malformed. All others have been added, so that no descriptor is lost.
        """
        errors: list[Exception] = []
        for message in messages:
            try:
                level, type_, data = message
                if level == _socket.SOL_SOCKET:
                    self._receive(type_, memoryview(data).tobytes())
            except Exception as exc:
                errors.append(exc)
        if errors:
            raise ExceptionGroup("Some control messages are malformed", errors)

    def _receive(self, type_: int, payload: bytes) -> None:
        if type_ == _socket.SCM_RIGHTS:
            self._extend(type_, _without_partial_item(payload, _INT_SIZE))
        elif HAS_CREDENTIALS and type_ == SCM_CREDENTIALS:
            if sys.platform != "linux":
                # BSDs send one item, followed by a variable number of groups.
                payload = payload[: _CREDENTIAL.size]
            self._extend(type_, _without_partial_item(payload, _CREDENTIAL.size))

    def clear(self) -> None:
        """Remove all messages. Does not close file descriptors."""
        self._payloads.clear()


def whole_messages(
    messages: list[tuple[int, int, bytes]], flags: int
) -> list[tuple[int, int, bytes]] | TruncatedMessages:
    """Return *messages*, or `TruncatedMessages` if their *flags* say that they are truncated."""
    return TruncatedMessages(truncation_error(messages)) if flags & MSG_CTRUNC else messages


def truncation_error(messages: Iterable[tuple[int, int, ReadableBuffer]]) -> OSError:
    """Return the error for truncated *messages*, and close the descriptors among them."""
    close_descriptors(messages)
    return error_from_errno(
        errno.EMSGSIZE, "control messages were truncated: a larger buffer or more free file descriptors are needed"
    )


def send_message(sock: _socket.socket, parts: Sequence[ReadableBuffer], messages: Iterable[Any]) -> None:
    """Send *parts* and control *messages* in one :manpage:`sendmsg(2)`.

    Raises:
        OSError: ``EMSGSIZE``: there are too many parts, or only some of their bytes fit in one call; or any error of
            the call.
    """
    if 0 < SC_IOV_MAX < len(parts):
        raise error_from_errno(errno.EMSGSIZE, f"{len(parts)} buffers, at most {SC_IOV_MAX} are allowed")
    sent, size = sock.sendmsg(parts, messages), sum(memoryview(part).nbytes for part in parts)
    if sent < size:
        raise error_from_errno(errno.EMSGSIZE, f"only {sent} of {size} bytes fit in one call")


def close_descriptors(messages: object) -> None:
    """Close the file descriptors in *messages*, which no handler claimed, if *messages* come from recvmsg(2).

    A user's transport may return ancillary data of any type. Other types are left alone.
    """
    if not isinstance(messages, Sequence):
        return
    for message in messages:
        match message:
            case (_socket.SOL_SOCKET, type_, bytes() | bytearray() | memoryview() as data) if type_ == _SCM_RIGHTS:
                for fd in array("i", _without_partial_item(memoryview(data).tobytes(), _INT_SIZE)):
                    with suppress(OSError):  # Linux closes the descriptor despite an error; continue with the others
                        os.close(fd)


def _without_partial_item(payload: bytes, item_size: int) -> bytes:
    return payload[: len(payload) // item_size * item_size]


def _pack_credential(credential: SocketCredential) -> bytes:
    pid, uid, gid = credential
    try:
        return _CREDENTIAL.pack(pid or os.getpid(), uid, gid)
    except StructError as exc:
        raise ValueError(f"{credential!r} contains a number that is not a process, user or group id") from exc
