"""Addresses of Unix sockets."""

from __future__ import annotations

import copy
import os
import pathlib
import pickle
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easynetwork.lowlevel._sockets.unix_address import to_unix_address
from easynetwork.lowlevel.socket import UnixSocketAddress

PATHNAME = UnixSocketAddress.from_pathname("/run/x.sock")
ABSTRACT = UnixSocketAddress.from_abstract_name("name")
UNNAMED = UnixSocketAddress()


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/run/x.sock"


@pytest.fixture
def folder() -> Iterator[str]:
    # Not tmp_path: an address has room for 108 bytes.
    with tempfile.TemporaryDirectory() as folder:
        yield folder


# --- the three kinds


def test_a_pathname_is_only_a_pathname() -> None:
    assert not PATHNAME.is_unnamed()
    assert PATHNAME.as_pathname() == pathlib.Path("/run/x.sock")
    assert PATHNAME.as_abstract_name() is None
    assert PATHNAME.as_raw() == "/run/x.sock"
    assert str(PATHNAME) == "/run/x.sock"


def test_an_abstract_name_is_only_an_abstract_name() -> None:
    assert not ABSTRACT.is_unnamed()
    assert ABSTRACT.as_pathname() is None
    assert ABSTRACT.as_abstract_name() == b"name"
    assert ABSTRACT.as_raw() == b"\0name"
    assert str(ABSTRACT) == "@name"


def test_the_unnamed_address_is_nothing_else() -> None:
    assert UNNAMED.is_unnamed()
    assert UNNAMED.as_pathname() is None
    assert UNNAMED.as_abstract_name() is None
    assert UNNAMED.as_raw() == ""
    assert str(UNNAMED) == "<unnamed>"


@pytest.mark.parametrize(
    ("address", "value"),
    [(PATHNAME, "'/run/x.sock' <pathname>"), (ABSTRACT, "b'name' <abstract>"), (UNNAMED, "<unnamed>")],
)
def test_the_repr_tells_class_value_and_kind(address: UnixSocketAddress, value: str) -> None:
    assert repr(address) == f"UnixSocketAddress({value})"


# --- from a pathname


def test_a_path_object_is_a_pathname_and_an_empty_string_is_unnamed() -> None:
    assert UnixSocketAddress.from_pathname(pathlib.Path("/run/x.sock")) == PATHNAME
    assert UnixSocketAddress.from_pathname("") == UNNAMED


def test_a_pathname_is_kept_as_it_was_written() -> None:
    assert UnixSocketAddress.from_pathname("./a//b").as_raw() == "./a//b"


@pytest.mark.parametrize("path", [b"/run/x.sock", BytesPath(), 3, None, PATHNAME])
def test_a_pathname_of_another_type_is_a_type_error(path: Any) -> None:
    with pytest.raises(TypeError):
        UnixSocketAddress.from_pathname(path)


@pytest.mark.parametrize("path", ["a\0b", "\0a", "a\0", pathlib.Path("a\0b")])
def test_a_nul_in_a_pathname_is_a_value_error(path: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        UnixSocketAddress.from_pathname(path)


# --- from an abstract name


def test_an_abstract_name_may_be_empty_or_contain_nuls() -> None:
    assert UnixSocketAddress.from_abstract_name(b"").as_raw() == b"\0"
    assert not UnixSocketAddress.from_abstract_name("").is_unnamed()
    assert UnixSocketAddress.from_abstract_name("").as_abstract_name() == b""
    assert UnixSocketAddress.from_abstract_name(b"\0a\0").as_abstract_name() == b"\0a\0"
    assert UnixSocketAddress.from_abstract_name("\0a").as_raw() == b"\0\0a"


def test_an_abstract_name_is_encoded_as_file_names_are() -> None:
    assert UnixSocketAddress.from_abstract_name("é\udcff").as_abstract_name() == os.fsencode("é\udcff")
    assert str(UnixSocketAddress.from_abstract_name(b"\xff")) == "@" + os.fsdecode(b"\xff")


@pytest.mark.parametrize("name", [pathlib.Path("a"), BytesPath(), bytearray(b"a"), 3, None])
def test_an_abstract_name_of_another_type_is_a_type_error(name: Any) -> None:
    with pytest.raises(TypeError):
        UnixSocketAddress.from_abstract_name(name)


# --- raw


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("", UNNAMED),
        (b"", UNNAMED),
        ("/run/x.sock", PATHNAME),
        (b"/run/x.sock", PATHNAME),
        ("\0name", ABSTRACT),
        (b"\0name", ABSTRACT),
        (b"\0a\0b", UnixSocketAddress.from_abstract_name(b"a\0b")),
        (b"/\xff", UnixSocketAddress.from_pathname(os.fsdecode(b"/\xff"))),
    ],
)
def test_raw_addresses_are_recognised(raw: str | bytes, expected: UnixSocketAddress) -> None:
    assert UnixSocketAddress.from_raw(raw) == expected


@pytest.mark.parametrize("raw", [None, 3, ("127.0.0.1", 80), bytearray(b"a"), pathlib.Path("a"), PATHNAME])
def test_a_raw_address_of_another_type_is_a_type_error(raw: Any) -> None:
    with pytest.raises(TypeError):
        UnixSocketAddress.from_raw(raw)


@pytest.mark.parametrize("raw", ["a\0b", b"a\0b", "a\0"])
def test_a_nul_inside_a_raw_pathname_is_a_value_error(raw: str | bytes) -> None:
    with pytest.raises(ValueError, match="NUL"):
        UnixSocketAddress.from_raw(raw)


@given(st.binary(max_size=107))
def test_every_abstract_name_survives_the_raw_form(name: bytes) -> None:
    address = UnixSocketAddress.from_abstract_name(name)
    assert address.as_abstract_name() == name
    assert UnixSocketAddress.from_raw(address.as_raw()) == address


@given(st.binary(max_size=107).filter(lambda path: b"\0" not in path))
def test_every_path_of_bytes_survives_the_raw_form(path: bytes) -> None:
    address = UnixSocketAddress.from_raw(path)
    assert os.fsencode(address.as_raw()) == path
    assert UnixSocketAddress.from_raw(address.as_raw()) == address


@pytest.mark.parametrize("kind", ["pathname", "abstract"])
def test_the_kernel_gives_back_the_address_that_was_bound(folder: str, kind: str) -> None:
    name = f"{folder}/x.sock"
    address = getattr(UnixSocketAddress, "from_pathname" if kind == "pathname" else "from_abstract_name")(name)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        assert UnixSocketAddress.from_raw(listener.getsockname()).is_unnamed()
        listener.bind(address.as_raw())
        listener.listen()
        client.connect(address.as_raw())
        assert UnixSocketAddress.from_raw(listener.getsockname()) == address
        assert UnixSocketAddress.from_raw(client.getpeername()) == address


# --- equality


def test_equality_and_hash_follow_the_raw_value() -> None:
    same = UnixSocketAddress.from_raw(b"/run/x.sock")
    assert same == PATHNAME
    assert hash(PATHNAME) == hash(same)
    assert len({PATHNAME, same, ABSTRACT, UNNAMED, UnixSocketAddress.from_pathname("name")}) == 4


def test_an_address_is_not_compared_with_other_types() -> None:
    assert PATHNAME.__eq__("/run/x.sock") is NotImplemented
    assert PATHNAME != "/run/x.sock"


@pytest.mark.parametrize("address", [PATHNAME, ABSTRACT, UNNAMED])
def test_an_address_can_be_copied_and_pickled(address: UnixSocketAddress) -> None:
    assert copy.copy(address) == address
    assert copy.deepcopy(address) == address
    assert pickle.loads(pickle.dumps(address)) == address


def test_an_address_takes_no_attribute_and_no_subclass() -> None:
    address: Any = UnixSocketAddress()
    with pytest.raises(AttributeError):
        address.path = "x"
    with pytest.raises(TypeError):
        type("Sub", (UnixSocketAddress,), {})


# --- what users call a path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/run/x.sock", PATHNAME),
        (b"/run/x.sock", PATHNAME),
        (pathlib.Path("/run/x.sock"), PATHNAME),
        (b"\0name", ABSTRACT),
        ("\0name", ABSTRACT),
        ("", UNNAMED),
        (ABSTRACT, ABSTRACT),
    ],
)
def test_whatever_users_call_a_path_is_understood(path: Any, expected: UnixSocketAddress) -> None:
    assert to_unix_address(path) == expected


def test_an_address_is_used_as_it_is() -> None:
    assert to_unix_address(PATHNAME) is PATHNAME


@pytest.mark.parametrize("path", [3, None, BytesPath(), ("127.0.0.1", 80)])
def test_what_is_no_path_is_a_type_error(path: Any) -> None:
    with pytest.raises(TypeError):
        to_unix_address(path)


@pytest.mark.parametrize("path", ["a\0b", b"a\0b", pathlib.Path("\0a")])
def test_a_path_with_a_nul_is_a_value_error(path: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        to_unix_address(path)
