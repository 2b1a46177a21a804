"""Control messages of Unix sockets: open files and credentials that travel beside the bytes, :manpage:`unix(7)`."""

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
    "TruncatedMessages",
    "close_descriptors",
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
from typing import Final, NamedTuple, TypeAlias, final

from easynetwork._final import refuse_subclasses
from easynetwork._typing import ReadableBuffer
from easynetwork.lowlevel._core.errors import error_from_errno
from easynetwork.lowlevel.constants import SCM_CREDENTIALS

HAS_CREDENTIALS: Final[bool] = SCM_CREDENTIALS is not None and sys.platform != "darwin"
"""Whether processes can send their credentials to each other on this platform."""

RECVMSG_FLAGS: Final[int] = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
"""What to receive messages with: the files among them are not inherited by programs that are started (:pep:`446`)."""

MSG_CTRUNC: Final[int] = getattr(_socket, "MSG_CTRUNC", 0)
"""The flag of messages that the system has truncated: there was no room, or the process has no descriptors left."""

_INT_SIZE: Final[int] = array("i").itemsize
_SCM_RIGHTS: Final[int | None] = getattr(_socket, "SCM_RIGHTS", None)

# Process, user and group within the structure of each platform; padding stands for the fields not offered here.
if sys.platform.startswith("freebsd"):
    _CREDENTIAL: Final[Struct] = Struct("@4xiI4xI12x")  # struct sockcred2
elif sys.platform.startswith("netbsd"):
    _CREDENTIAL: Final[Struct] = Struct("@iI4xI12x")  # struct sockcred
else:
    _CREDENTIAL: Final[Struct] = Struct("@iII")  # struct ucred


class SocketCredential(NamedTuple):
    """The identity of a process, as one end of a Unix socket claims it and the kernel verifies it."""

    pid: int = 0
    """Process id. When sent, 0 means this process."""

    uid: int = 0
    """User id."""

    gid: int = 0
    """Group id."""


@final
@refuse_subclasses
@dataclass(frozen=True, slots=True, eq=False)
class SCMRights:
    """A control message with open files."""

    fds: Iterator[int]
    """File descriptors. Who receives them owns them, and must close them."""


@final
@refuse_subclasses
@dataclass(frozen=True, slots=True, eq=False)
class SCMCredentials:
    """A control message with credentials."""

    credentials: Iterator[SocketCredential]
    """Who has sent the data, verified by the kernel."""


SocketAncillaryMessages: TypeAlias = SCMRights | SCMCredentials


@final
@refuse_subclasses
class SocketAncillary:
    """The control messages that go with data: one of each kind at most, whatever is added.

    File descriptors are plain numbers here: this object never duplicates or closes one.
    """

    __slots__ = ("__weakref__", "_payloads")

    def __init__(self) -> None:
        # Per message type, and packed: they must be in order of first insertion, and equal what recvmsg() has given.
        # The level is SOL_SOCKET for all that are known.
        self._payloads: dict[int, bytearray] = {}

    def _extend(self, type_: int, payload: bytes) -> None:
        self._payloads.setdefault(type_, bytearray()).extend(payload)

    def add_fds(self, fds: Iterable[int]) -> None:
        """Appends file descriptors to the message of open files. All or, if an error is raised, none.

        Raises:
            TypeError: an item is no integer.
            OverflowError: an item does not fit in a C ``int``.
        """
        # Through iter(), because array() takes bytes for its own memory representation.
        self._extend(_socket.SCM_RIGHTS, array("i", iter(fds)).tobytes())

    if SCM_CREDENTIALS is not None and HAS_CREDENTIALS:

        def add_creds(self, credentials: Iterable[SocketCredential]) -> None:
            """Appends credentials to the message of credentials. All or, if an error is raised, none.

            Linux accepts one item per message when sending, and, without privileges, only what is true.

            Raises:
                TypeError: an item is no `SocketCredential`.
                ValueError: a number is no process, user or group id.
            """
            assert SCM_CREDENTIALS is not None
            self._extend(SCM_CREDENTIALS, b"".join([_pack_credential(item) for item in credentials]))

    def as_raw(self) -> list[tuple[int, int, bytes]]:
        """Returns a new list of ``(level, type, data)`` for `socket.socket.sendmsg`, without empty messages."""
        return [(_socket.SOL_SOCKET, type_, bytes(payload)) for type_, payload in self._payloads.items() if payload]

    def messages(self) -> Iterator[SocketAncillaryMessages]:
        """Iterates over the messages, without empty ones, in order of first insertion::

        for message in ancillary.messages():
            match message:
                case SCMRights(fds): ...
                case SCMCredentials(credentials): ...
        """
        for _, type_, payload in self.as_raw():
            if type_ == _socket.SCM_RIGHTS:
                yield SCMRights(iter(array("i", payload)))
            else:
                yield SCMCredentials(map(SocketCredential._make, _CREDENTIAL.iter_unpack(payload)))

    def iter_fds(self) -> Iterator[int]:
        """Returns an iterator over all file descriptors."""
        return iter(array("i", self._payloads.get(_socket.SCM_RIGHTS, b"")))

    def update_from_raw(self, messages: Iterable[tuple[int, int, ReadableBuffer]]) -> None:
        """Adds the messages that `socket.socket.recvmsg` has returned. Kinds unknown here are ignored.

        Of a message that the kernel has truncated (``MSG_CTRUNC``), the incomplete last item is dropped.

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
                # BSDs: one item, with a varying number of groups behind it.
                payload = payload[: _CREDENTIAL.size]
            self._extend(type_, _without_partial_item(payload, _CREDENTIAL.size))

    def clear(self) -> None:
        """Forgets everything. Closes nothing."""
        self._payloads.clear()


class TruncatedMessages:
    """What a datagram listener hands over in place of control messages that the system has truncated.

    Iterating over it raises `OSError` (``EMSGSIZE``). The descriptors among the messages are closed.
    """

    __slots__ = ("error",)

    def __init__(self, messages: Iterable[tuple[int, int, ReadableBuffer]]) -> None:
        self.error = truncation_error(messages)
        """To be raised where the messages were asked for."""

    def __iter__(self) -> Iterator[tuple[int, int, ReadableBuffer]]:
        raise self.error


def whole_messages(
    messages: list[tuple[int, int, bytes]], flags: int
) -> list[tuple[int, int, bytes]] | TruncatedMessages:
    """Return *messages* unless *flags*, received with them, say that they are truncated."""
    return TruncatedMessages(messages) if flags & MSG_CTRUNC else messages


def truncation_error(messages: Iterable[tuple[int, int, ReadableBuffer]]) -> OSError:
    """Return the error for *messages* that are truncated, and close the descriptors among them."""
    close_descriptors(messages)
    return error_from_errno(
        errno.EMSGSIZE, "control messages were truncated: they need more room, or more free file descriptors"
    )


def close_descriptors(messages: object) -> None:
    """Close the file descriptors in *messages*, which no handler has claimed, if `socket.socket.recvmsg` returns such.

    Ancillary data of a transport written by a user may be of any type. What is in it stays as it is.
    """
    if not isinstance(messages, Sequence):
        return
    for message in messages:
        match message:
            case (_socket.SOL_SOCKET, type_, bytes() | bytearray() | memoryview() as data) if type_ == _SCM_RIGHTS:
                for fd in array("i", _without_partial_item(memoryview(data).tobytes(), _INT_SIZE)):
                    with suppress(OSError):  # Linux closes it nevertheless, and the others are to be closed as well
                        os.close(fd)


def _without_partial_item(payload: bytes, item_size: int) -> bytes:
    return payload[: len(payload) // item_size * item_size]


def _pack_credential(credential: SocketCredential) -> bytes:
    pid, uid, gid = credential
    try:
        return _CREDENTIAL.pack(pid or os.getpid(), uid, gid)
    except StructError as exc:
        raise ValueError(f"{credential!r} has a number that is no process, user or group id") from exc
