"""Blocking transports made of two."""

from __future__ import annotations

import dataclasses
import socket
from typing import Any

import pytest

from easynetwork.exceptions import UnsupportedOperation
from easynetwork.lowlevel.api_sync.transports.abc import (
    BaseTransport,
    DatagramReadTransport,
    DatagramWriteTransport,
    StreamReadTransport,
    StreamTransport,
    StreamWriteTransport,
)
from easynetwork.lowlevel.api_sync.transports.composite import StapledDatagramTransport, StapledStreamTransport
from easynetwork.lowlevel.api_sync.transports.socket import SocketStreamTransport
from easynetwork.lowlevel.socket import SocketAttribute


class Part(BaseTransport):
    """Notes what it is asked for."""

    def __init__(self, close_error: BaseException | None = None, **attributes: Any) -> None:
        self.calls: list[Any] = []
        self.attributes = attributes
        self.close_error = close_error
        self.closed = False

    def note(self, *call: Any) -> Any:
        self.calls.append(call)
        return call

    def close(self) -> None:
        self.closed = True
        if self.close_error is not None:
            raise self.close_error

    def is_closed(self) -> bool:
        return self.closed

    @property
    def extra_attributes(self) -> Any:
        return {name: lambda value=value: value for name, value in self.attributes.items()}


class Reader(Part, StreamReadTransport):
    def recv(self, *args: Any) -> Any:
        return self.note("recv", *args)

    def recv_into(self, *args: Any) -> Any:
        return self.note("recv_into", *args)

    def recv_with_ancillary(self, *args: Any) -> Any:
        return self.note("recv_with_ancillary", *args)

    def recv_with_ancillary_into(self, *args: Any) -> Any:
        return self.note("recv_with_ancillary_into", *args)


class Writer(Part, StreamWriteTransport):
    def send(self, *args: Any) -> Any:
        return self.note("send", *args)

    def send_all(self, *args: Any) -> None:
        self.note("send_all", *args)

    def send_all_from_iterable(self, *args: Any) -> None:
        self.note("send_all_from_iterable", *args)

    def send_all_with_ancillary(self, *args: Any) -> None:
        self.note("send_all_with_ancillary", *args)


class Both(Writer, Reader, StreamTransport):
    eof_error: Exception | None = None

    def send_eof(self) -> None:
        self.note("send_eof")
        if self.eof_error is not None:
            raise self.eof_error


class DatagramReader(Part, DatagramReadTransport):
    def recv(self, *args: Any) -> Any:
        return self.note("recv", *args)

    def recv_with_ancillary(self, *args: Any) -> Any:
        return self.note("recv_with_ancillary", *args)


class DatagramWriter(Part, DatagramWriteTransport):
    def send(self, *args: Any) -> None:
        self.note("send", *args)

    def send_with_ancillary(self, *args: Any) -> None:
        self.note("send_with_ancillary", *args)


@pytest.mark.parametrize(
    "call",
    [
        ("recv", 10, 1.0),
        ("recv_into", bytearray(3), 1.0),
        ("recv_with_ancillary", 10, 20, 1.0),
        ("recv_with_ancillary_into", bytearray(3), 20, 1.0),
    ],
    ids=lambda call: call[0],
)
def test_stream_receives_by_the_one(call: tuple[Any, ...]) -> None:
    writer, reader = Both(), Both()
    method, *args = call
    assert getattr(StapledStreamTransport(writer, reader), method)(*args) == call
    assert reader.calls == [call]
    assert writer.calls == []


@pytest.mark.parametrize(
    "call",
    [
        ("send", b"abc", 1.0),
        ("send_all", b"abc", 1.0),
        ("send_all_from_iterable", [b"abc"], 1.0),
        ("send_all_with_ancillary", [b"abc"], [], 1.0),
    ],
    ids=lambda call: call[0],
)
def test_stream_sends_by_the_other(call: tuple[Any, ...]) -> None:
    writer, reader = Both(), Both()
    method, *args = call
    getattr(StapledStreamTransport(writer, reader), method)(*args)
    assert writer.calls == [call]
    assert reader.calls == []


@pytest.mark.parametrize("call", [("recv", 1.0), ("recv_with_ancillary", 20, 1.0)], ids=lambda call: call[0])
def test_datagrams_are_received_by_the_one(call: tuple[Any, ...]) -> None:
    reader = DatagramReader()
    method, *args = call
    assert getattr(StapledDatagramTransport(DatagramWriter(), reader), method)(*args) == call
    assert reader.calls == [call]


@pytest.mark.parametrize("call", [("send", b"", 1.0), ("send_with_ancillary", b"", [], 1.0)], ids=lambda call: call[0])
def test_datagrams_are_sent_by_the_other(call: tuple[Any, ...]) -> None:
    writer = DatagramWriter()
    method, *args = call
    getattr(StapledDatagramTransport(writer, DatagramReader()), method)(*args)
    assert writer.calls == [call]


def test_send_eof_is_that_of_a_full_stream() -> None:
    writer = Both()
    StapledStreamTransport(writer, Reader()).send_eof()
    assert writer.calls == [("send_eof",)]
    assert not writer.closed


@pytest.mark.parametrize("error", [NotImplementedError, UnsupportedOperation])
def test_send_eof_closes_what_cannot_be_half_closed(error: type[Exception]) -> None:
    writer, reader = Both(), Reader()
    writer.eof_error = error()
    StapledStreamTransport(writer, reader).send_eof()
    assert writer.closed
    assert not reader.closed


def test_send_eof_that_fails_closes_nothing() -> None:
    writer = Both()
    writer.eof_error = ConnectionResetError()
    with pytest.raises(ConnectionResetError):
        StapledStreamTransport(writer, Reader()).send_eof()
    assert not writer.closed


def test_send_eof_closes_what_only_writes() -> None:
    writer = Writer()
    StapledStreamTransport(writer, Reader()).send_eof()
    assert writer.closed


def test_is_closed_only_if_both_are() -> None:
    writer, reader = Writer(), Reader()
    transport = StapledStreamTransport(writer, reader)
    assert not transport.is_closed()
    reader.close()
    assert not transport.is_closed()
    writer.close()
    assert transport.is_closed()


def test_close_closes_both() -> None:
    writer, reader = DatagramWriter(), DatagramReader()
    with StapledDatagramTransport(writer, reader):
        pass
    assert writer.closed
    assert reader.closed


def test_close_closes_both_even_if_one_fails() -> None:
    writer, reader = Writer(OSError("no")), Reader()
    with pytest.raises(OSError, match="no"):
        StapledStreamTransport(writer, reader).close()
    assert reader.closed


def test_attributes_are_those_of_both_and_the_receiving_part_wins() -> None:
    transport = StapledStreamTransport(Writer(a=1, b=2), Reader(b=3, c=4))
    keys: list[Any] = ["a", "b", "c"]
    assert [transport.extra(key) for key in keys] == [1, 3, 4]


@pytest.mark.parametrize("cls", [StapledStreamTransport, StapledDatagramTransport])
def test_class_is_final(cls: type[Any]) -> None:
    with pytest.raises(TypeError):
        type("Subclass", (cls,), {})


def test_parts_cannot_be_replaced() -> None:
    transport = StapledStreamTransport(Writer(), Reader())
    with pytest.raises(dataclasses.FrozenInstanceError):
        transport.send_transport = Writer()  # type: ignore[misc]  # that is the point


def test_two_sockets_make_one_stream() -> None:
    (out, out_peer), (into, into_peer) = socket.socketpair(), socket.socketpair()
    parts = SocketStreamTransport(out, 1.0), SocketStreamTransport(into, 1.0)
    with out_peer, into_peer, StapledStreamTransport(*parts) as transport:
        transport.send_all(b"ping", 10.0)
        assert out_peer.recv(10) == b"ping"
        transport.send_eof()
        assert out_peer.recv(10) == b""
        into_peer.send(b"pong")
        assert transport.recv(10, 10.0) == b"pong"
        assert transport.extra(SocketAttribute.socket).fileno() == into.fileno()
