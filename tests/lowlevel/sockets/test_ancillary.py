"""Ancillary data: building control messages and reading them."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easynetwork.lowlevel._sockets.ancillary import close_descriptors
from easynetwork.lowlevel.constants import DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE
from easynetwork.lowlevel.socket import SCMCredentials, SCMRights, SocketAncillary, SocketCredential

RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
CREDENTIALS = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
MYSELF = SocketCredential(os.getpid(), os.getuid(), os.getgid())


def packed_fds(*fds: int) -> bytes:
    return array.array("i", fds).tobytes()


def packed_credential(pid: int, uid: int, gid: int) -> bytes:
    return struct.pack("@iII", pid, uid, gid)


@pytest.fixture
def ancillary() -> SocketAncillary:
    return SocketAncillary()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        yield left, right


# --- file descriptors


def test_a_new_container_is_empty(ancillary: SocketAncillary) -> None:
    assert ancillary.as_raw() == []
    assert list(ancillary.messages()) == []
    assert list(ancillary.iter_fds()) == []


def test_descriptors_make_one_message_however_often_they_are_added(ancillary: SocketAncillary) -> None:
    ancillary.add_fds([3, 4])
    ancillary.add_fds(fd for fd in (5, 6))
    ancillary.add_fds([])
    assert ancillary.as_raw() == [(*RIGHTS, packed_fds(3, 4, 5, 6))]
    assert list(ancillary.iter_fds()) == [3, 4, 5, 6]
    [message] = ancillary.messages()
    assert isinstance(message, SCMRights)
    assert list(message.fds) == [3, 4, 5, 6]


@pytest.mark.parametrize(("fds", "error"), [([1, "x"], TypeError), ([1, 2.0], TypeError), ([1, 2**31], OverflowError)])
def test_a_bad_descriptor_adds_none(ancillary: SocketAncillary, fds: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ancillary.add_fds(fds)
    assert ancillary.as_raw() == []


def test_a_failing_generator_adds_nothing(ancillary: SocketAncillary) -> None:
    def fds() -> Iterator[int]:
        yield 3
        raise KeyError

    with pytest.raises(KeyError):
        ancillary.add_fds(fds())
    assert ancillary.as_raw() == []


def test_bytes_are_a_series_of_numbers_not_memory(ancillary: SocketAncillary) -> None:
    ancillary.add_fds(b"\x03\x04\x05\x06")
    assert list(ancillary.iter_fds()) == [3, 4, 5, 6]


def test_descriptors_are_neither_duplicated_nor_closed(ancillary: SocketAncillary) -> None:
    reader, writer = os.pipe()
    try:
        ancillary.add_fds([reader])
        assert list(ancillary.iter_fds()) == [reader]
        ancillary.clear()
        del ancillary
        os.write(writer, b"open")
        assert os.read(reader, 4) == b"open"
    finally:
        os.close(reader)
        os.close(writer)


# --- credentials


def test_credentials_make_one_message_however_often_they_are_added(ancillary: SocketAncillary) -> None:
    ancillary.add_creds([SocketCredential(1, 2, 3)])
    ancillary.add_creds(SocketCredential(pid, 5, 6) for pid in (4, 7))
    assert ancillary.as_raw() == [
        (*CREDENTIALS, packed_credential(1, 2, 3) + packed_credential(4, 5, 6) + packed_credential(7, 5, 6))
    ]
    [message] = ancillary.messages()
    assert isinstance(message, SCMCredentials)
    assert list(message.credentials) == [(1, 2, 3), (4, 5, 6), (7, 5, 6)]


def test_process_0_stands_for_this_process(ancillary: SocketAncillary) -> None:
    assert SocketCredential() == (0, 0, 0)
    ancillary.add_creds([SocketCredential(uid=1, gid=2)])
    assert ancillary.as_raw() == [(*CREDENTIALS, packed_credential(os.getpid(), 1, 2))]


def test_large_ids_are_not_negative(ancillary: SocketAncillary) -> None:
    ancillary.add_creds([SocketCredential(1, 2**32 - 1, 2**31)])
    [message] = ancillary.messages()
    assert isinstance(message, SCMCredentials)
    [credential] = message.credentials
    assert credential == SocketCredential(pid=1, uid=2**32 - 1, gid=2**31)
    assert isinstance(credential, SocketCredential)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (5, TypeError),
        (SocketCredential(1, -1, 1), ValueError),
        (SocketCredential(2**31, 1, 1), ValueError),
    ],
)
def test_a_bad_credential_adds_none(ancillary: SocketAncillary, bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        ancillary.add_creds([SocketCredential(1, 2, 3), bad])
    assert ancillary.as_raw() == []


# --- several kinds


def test_messages_keep_the_order_of_first_insertion(ancillary: SocketAncillary) -> None:
    ancillary.add_creds([SocketCredential(1, 2, 3)])
    ancillary.add_fds([3])
    ancillary.add_creds([SocketCredential(4, 5, 6)])
    assert [message[:2] for message in ancillary.as_raw()] == [CREDENTIALS, RIGHTS]
    assert [type(message) for message in ancillary.messages()] == [SCMCredentials, SCMRights]


def test_empty_messages_are_left_out(ancillary: SocketAncillary) -> None:
    ancillary.add_creds([])
    ancillary.add_fds([])
    assert ancillary.as_raw() == []
    assert list(ancillary.messages()) == []
    ancillary.add_fds([3])
    assert len(ancillary.as_raw()) == len(list(ancillary.messages())) == 1


def test_each_call_starts_afresh(ancillary: SocketAncillary) -> None:
    ancillary.add_fds([3, 4])
    for _ in range(2):
        assert list(ancillary.iter_fds()) == [3, 4]
        assert [list(message.fds) for message in ancillary.messages() if isinstance(message, SCMRights)] == [[3, 4]]
    ancillary.as_raw().clear()
    assert ancillary.as_raw() == [(*RIGHTS, packed_fds(3, 4))]


def test_adding_while_iterating_is_allowed(ancillary: SocketAncillary) -> None:
    ancillary.add_fds([3, 4])
    ancillary.add_creds([SocketCredential(1, 2, 3)])
    for message in ancillary.messages():
        for _ in message.fds if isinstance(message, SCMRights) else message.credentials:
            ancillary.add_creds([SocketCredential(1, 2, 3)])
    for _ in ancillary.iter_fds():
        ancillary.add_fds([5])
    assert list(ancillary.iter_fds()) == [3, 4, 5, 5]


def test_clear_forgets_everything(ancillary: SocketAncillary) -> None:
    ancillary.add_fds([3])
    ancillary.add_creds([SocketCredential(1, 2, 3)])
    ancillary.clear()
    assert ancillary.as_raw() == []
    assert list(ancillary.iter_fds()) == []
    ancillary.add_fds([4])
    assert list(ancillary.iter_fds()) == [4]


# --- what was received


def test_received_messages_of_one_kind_are_merged(ancillary: SocketAncillary) -> None:
    ancillary.add_fds([3])
    ancillary.update_from_raw(
        [
            (*RIGHTS, packed_fds(4)),
            (*CREDENTIALS, packed_credential(1, 2, 3)),
            (*RIGHTS, bytearray(packed_fds(5))),
            (*RIGHTS, memoryview(array.array("i", [6]))),
        ]
    )
    assert ancillary.as_raw() == [(*RIGHTS, packed_fds(3, 4, 5, 6)), (*CREDENTIALS, packed_credential(1, 2, 3))]


def test_a_received_process_0_stays_0(ancillary: SocketAncillary) -> None:
    ancillary.update_from_raw([(*CREDENTIALS, packed_credential(0, 65534, 65534))])
    [message] = ancillary.messages()
    assert isinstance(message, SCMCredentials)
    assert list(message.credentials) == [(0, 65534, 65534)]


@pytest.mark.parametrize("kind", [(socket.SOL_SOCKET, 12345), (socket.IPPROTO_IP, socket.SCM_RIGHTS)])
def test_unknown_kinds_are_ignored(ancillary: SocketAncillary, kind: tuple[int, int]) -> None:
    ancillary.update_from_raw([(*kind, packed_fds(3)), (*RIGHTS, packed_fds(4))])
    assert ancillary.as_raw() == [(*RIGHTS, packed_fds(4))]


def test_the_incomplete_last_item_is_dropped(ancillary: SocketAncillary) -> None:
    ancillary.update_from_raw(
        [
            (*RIGHTS, packed_fds(3, 4)[:-1]),
            (*CREDENTIALS, (packed_credential(1, 2, 3) * 2)[:-1]),
            (*RIGHTS, packed_fds(5)),
        ]
    )
    assert ancillary.as_raw() == [(*RIGHTS, packed_fds(3, 5)), (*CREDENTIALS, packed_credential(1, 2, 3))]


def test_nothing_remains_of_a_message_without_a_complete_item(ancillary: SocketAncillary) -> None:
    ancillary.update_from_raw([(*RIGHTS, b"\3\0"), (*CREDENTIALS, bytes(11)), (*RIGHTS, b"")])
    assert ancillary.as_raw() == []


def test_malformed_entries_stop_no_other(ancillary: SocketAncillary) -> None:
    messages: Any = [(*RIGHTS, packed_fds(3)), (*RIGHTS, 8), RIGHTS, None, (*RIGHTS, "text"), (*RIGHTS, packed_fds(4))]
    with pytest.raises(ExceptionGroup) as info:
        ancillary.update_from_raw(messages)
    assert len(info.value.exceptions) == 4
    assert list(ancillary.iter_fds()) == [3, 4]


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1))), st.integers(0, 3))
def test_whatever_was_packed_is_read_back(groups: list[list[int]], missing: int) -> None:
    sent = SocketAncillary()
    for fds in groups:
        sent.add_fds(fds)
    expected = [fd for fds in groups for fd in fds]
    assert list(sent.iter_fds()) == expected
    received = SocketAncillary()
    received.update_from_raw((level, type_, data[: len(data) - missing]) for level, type_, data in sent.as_raw())
    assert list(received.iter_fds()) == (expected[:-1] if missing else expected)


# --- through a real socket


def test_open_files_travel_to_the_peer(ancillary: SocketAncillary, pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    reader, writer = os.pipe()
    try:
        ancillary.add_fds([reader])
        left.sendmsg([b"x"], ancillary.as_raw())
    finally:
        os.close(reader)
    try:
        received = SocketAncillary()
        received.update_from_raw(right.recvmsg(1, DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE)[1])
        [fd] = received.iter_fds()
        with open(fd, "rb", buffering=0) as file:
            os.write(writer, b"through")
            assert file.read(7) == b"through"
    finally:
        os.close(writer)


def test_descriptors_that_fit_survive_truncation(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    null = os.open(os.devnull, os.O_RDONLY)
    sent, received = SocketAncillary(), SocketAncillary()
    try:
        sent.add_fds([null] * 3)
        left.sendmsg([b"x"], sent.as_raw())
    finally:
        os.close(null)
    _, messages, flags, _ = right.recvmsg(1, socket.CMSG_LEN(len(packed_fds(0))) + 2)
    received.update_from_raw(messages)
    fds = list(received.iter_fds())
    for fd in fds:
        os.close(fd)  # an error if this were no descriptor of ours
    assert flags & socket.MSG_CTRUNC
    assert len(fds) == 1


def test_the_kernel_confirms_credentials(ancillary: SocketAncillary, pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    right.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ancillary.add_creds([SocketCredential(uid=MYSELF.uid, gid=MYSELF.gid)])
    left.sendmsg([b"x"], ancillary.as_raw())
    received = SocketAncillary()
    received.update_from_raw(right.recvmsg(1, DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE)[1])
    match list(received.messages()):
        case [SCMCredentials(credentials)]:
            assert list(credentials) == [MYSELF]
        case other:
            pytest.fail(f"unexpected messages: {other}")


def test_descriptors_that_nobody_claims_can_be_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    right.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # other messages are left out
    reading, writing = os.pipe()
    left.sendmsg([b"x"], [(*RIGHTS, packed_fds(writing, writing))])
    os.close(writing)
    messages = right.recvmsg(1, DEFAULT_UNIX_SOCKETS_ANCILLARY_DATA_BUFSIZE)[1]
    assert len(messages) == 2
    close_descriptors(messages)
    assert os.read(reading, 1) == b""  # the pipe has no writing end any more
    os.close(reading)


# --- the messages


def test_messages_can_be_matched(ancillary: SocketAncillary) -> None:
    ancillary.add_fds([3])
    ancillary.add_creds([SocketCredential(1, 2, 3)])
    seen: list[object] = []
    for message in ancillary.messages():
        match message:
            case SCMRights(fds):
                seen += fds
            case SCMCredentials(credentials):
                seen += credentials
    assert seen == [3, (1, 2, 3)]


@pytest.mark.parametrize("cls", [SCMRights, SCMCredentials])
def test_messages_are_frozen_and_compared_by_identity(cls: Any) -> None:
    items: Iterator[Any] = iter(())
    message = cls(items)
    assert message == message
    assert message != cls(items)
    assert len({message, cls(items)}) == 2
    with pytest.raises(AttributeError):
        setattr(message, cls.__match_args__[0], items)


@pytest.mark.parametrize("cls", [SCMRights, SCMCredentials, SocketAncillary])
def test_nothing_here_can_be_subclassed(cls: type) -> None:
    with pytest.raises(TypeError):
        type("Sub", (cls,), {})


@pytest.mark.parametrize(
    "data",
    [
        object(),
        12,
        "text",
        b"bytes",
        {},
        [1],
        [()],
        [(1, 2)],
        [(*RIGHTS, "text")],
        [(*RIGHTS, 12)],
        [RIGHTS],
        Mock(),
        None,
    ],
)
def test_data_of_an_unknown_form_has_no_descriptors_to_close(data: Any) -> None:
    close_descriptors(data)


def test_descriptors_beside_what_is_unknown_are_closed() -> None:
    left, right = os.pipe()
    close_descriptors([object(), (*RIGHTS, packed_fds(left)), (1, 2), (*RIGHTS, memoryview(packed_fds(right)))])
    for fd in (left, right):
        with pytest.raises(OSError):
            os.fstat(fd)
