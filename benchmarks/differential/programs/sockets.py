"""Addresses, socket options, proxies, control messages, typed attributes, constants."""

from __future__ import annotations

import os
import pathlib
import socket
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.differential.kit import folder, tcp_pair
from benchmarks.differential.table import program
from benchmarks.differential.transcript import Transcript
from easynetwork.lowlevel import constants
from easynetwork.lowlevel.request_handler import RecvAncillaryDataParams, RecvParams
from easynetwork.lowlevel.socket import (
    INETSocketAttribute,
    IPv4SocketAddress,
    IPv6SocketAddress,
    ISocket,
    SCMCredentials,
    SCMRights,
    SocketAncillary,
    SocketAttribute,
    SocketCredential,
    SocketProxy,
    SupportsSocketOptions,
    TLSAttribute,
    UnixCredentials,
    UnixSocketAddress,
    UNIXSocketAttribute,
    disable_socket_linger,
    enable_socket_linger,
    get_socket_linger,
    get_socket_linger_struct,
    new_socket_address,
    set_tcp_keepalive,
    set_tcp_nodelay,
    socket_linger,
)
from easynetwork.lowlevel.typed_attr import TypedAttributeProvider, TypedAttributeSet, typed_attribute
from easynetwork.servers.handlers import INETClientAttribute, UNIXClientAttribute


@program(explained={"LOST_CONNECTION_ERRNOS": "a connection that the network gives up"})
def constant_values(t: Transcript) -> None:
    """Constants"""
    for name in sorted(constants.__all__):
        value = getattr(constants, name)
        t.say(name, sorted(value) if isinstance(value, frozenset) else value)


@program(explained={"str scoped": "`str()` of an IPv6 address with a scope"})
def internet_addresses(t: Transcript) -> None:
    """IPv4 and IPv6 addresses"""
    v4, v6 = IPv4SocketAddress("127.0.0.1", 80), IPv6SocketAddress("::1", 80)
    t.say("values", (v4, v6, v4.for_connection(), v6.for_connection()))
    t.say("str", (str(v4), str(v6)))
    t.say("str scoped", str(IPv6SocketAddress("fe80::1", 80, 0, 2)))
    t.say("equal to tuples", (v4 == ("127.0.0.1", 80), v6 == ("::1", 80, 0, 0)))
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 12345):
        for address in (("h", 1), ("h", 1, 2), ("h", 1, 2, 3), ("h", 1, 2, 3, 4), ("h",), ()):
            t.call(f"{family!r} {len(address)}", new_socket_address, address, family)


@program()
def unix_addresses(t: Transcript) -> None:
    """Unix addresses of the three kinds, and what is not one"""
    made: list[Any] = [
        UnixSocketAddress(),
        UnixSocketAddress.from_pathname("/a/b"),
        UnixSocketAddress.from_pathname(pathlib.Path("c")),
        UnixSocketAddress.from_pathname(""),
        UnixSocketAddress.from_abstract_name("name"),
        UnixSocketAddress.from_abstract_name(b"\0x"),
        UnixSocketAddress.from_abstract_name(""),
        UnixSocketAddress.from_raw("/a/b"),
        UnixSocketAddress.from_raw(b"/a/b"),
        UnixSocketAddress.from_raw(b"\0name"),
        UnixSocketAddress.from_raw("\0name"),
        UnixSocketAddress.from_raw(b""),
        UnixSocketAddress.from_raw(b"/\xff"),
    ]
    for number, address in enumerate(made):
        name = f"{number}"
        t.say(
            f"{name} kind", (address.is_unnamed(), address.as_pathname(), address.as_abstract_name(), address.as_raw())
        )
        t.say(f"{name} str", str(address))
        t.say(f"{name} repr", repr(address))
        t.say(
            f"{name} equal to", [other for other, it in enumerate(made) if it == address and hash(it) == hash(address)]
        )
    for bad in (b"/a", 3, None, "a\0b", "\0a"):
        t.call(f"pathname {bad!r}", UnixSocketAddress.from_pathname, bad)
    for bad in (3, None, pathlib.Path("a"), bytearray(b"a")):
        t.call(f"abstract {bad!r}", UnixSocketAddress.from_abstract_name, bad)
    for bad in (3, None, ("a",), "a\0b", b"a\0b", pathlib.Path("a")):
        t.call(f"raw {bad!r}", UnixSocketAddress.from_raw, bad)
    t.say("other types", (made[0] == "", made[1] == "/a/b"))
    t.make("arguments", UnixSocketAddress, "a")
    with t.errors("immutable"):
        made[0].path = "x"
    t.make("subclass", lambda: type("Sub", (UnixSocketAddress,), {}))


@program()
def socket_options(t: Transcript) -> None:
    """Nagle, keep-alive, linger"""
    near, far = tcp_pair()
    with near, far:
        for state in (True, False):
            t.call(f"nodelay {state}", set_tcp_nodelay, near, state)
            t.say("nodelay", near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            t.call(f"keepalive {state}", set_tcp_keepalive, near, state)
            t.say("keepalive", near.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        t.call("linger", get_socket_linger, near)
        t.call("enable linger", enable_socket_linger, near, 5)
        t.call("linger", get_socket_linger, near)
        t.call("disable linger", disable_socket_linger, near)
        t.call("linger", get_socket_linger, near)
        t.call("struct", lambda: get_socket_linger_struct().format)
        t.say("type", socket_linger(True, 3))
        t.say("protocols", (isinstance(near, SupportsSocketOptions), isinstance(near, ISocket), isinstance(3, ISocket)))
    t.call("closed nodelay", set_tcp_nodelay, near, True)
    t.call("closed linger", get_socket_linger, near)
    with socket.socket(socket.AF_UNIX) as unix:
        t.call("nodelay of a Unix socket", set_tcp_nodelay, unix, True)


@program()
def proxies(t: Transcript) -> None:
    """SocketProxy: lock, runner, missing methods"""
    log: list[object] = []

    @contextmanager
    def lock() -> Any:
        log.append("lock")
        yield
        log.append("unlock")

    def run(function: Any) -> Any:
        log.append(f"run {type(function).__name__} {getattr(function, 'args', None)}")
        return function()

    near, far = tcp_pair()
    with near, far:
        for options in ({}, {"lock": lambda: lock()}, {"runner": run}, {"lock": lambda: lock(), "runner": run}):
            log.clear()
            proxy: Any = SocketProxy(near, **options)
            name = f"{sorted(options)}"
            t.say(f"{name} data", (proxy.family, proxy.type, proxy.proto))
            t.say(f"{name} log of data", log)
            t.say(f"{name} fileno", proxy.fileno() == near.fileno())
            t.say(
                f"{name} names", (proxy.getsockname() == near.getsockname(), proxy.getpeername() == near.getpeername())
            )
            t.call(f"{name} inheritable", proxy.get_inheritable)
            t.call(f"{name} setsockopt", proxy.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            t.call(f"{name} getsockopt", proxy.getsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY)
            t.call(f"{name} bad getsockopt", proxy.getsockopt, 99, 99)
            t.say(
                f"{name} log",
                [
                    str(entry).replace("function", "callable").replace("builtin_callable_or_method", "callable")
                    for entry in log
                    if "()" not in str(entry)
                ],
            )
        proxy = SocketProxy(near)
        names = (
            "close",
            "send",
            "recv",
            "detach",
            "shutdown",
            "sendall",
            "accept",
            "dup",
            "makefile",
            "set_inheritable",
        )
        t.say("not offered", [name for name in names if not hasattr(proxy, name)])
        t.say("is a socket", isinstance(proxy, ISocket))
        t.say("dictionary", hasattr(proxy, "__dict__"))
        with t.errors("assign"):
            proxy.family = 3
    t.call("closed", proxy.fileno)
    t.call("closed name", proxy.getsockname)
    t.say("closed repr", "fd=-1" in repr(proxy))
    t.make("subclass", lambda: type("Sub", (SocketProxy,), {}))
    t.make("positional", SocketProxy, near, threading.Lock)


@program(explained={"tuple credentials": "credentials as a plain tuple"})
def control_messages(t: Transcript) -> None:
    """SocketAncillary: descriptors, credentials, raw and malformed messages"""
    ancillary = SocketAncillary()
    t.say("empty", (ancillary.as_raw(), list(ancillary.messages()), list(ancillary.iter_fds())))
    ancillary.add_fds([1, 2])
    ancillary.add_fds(iter([3]))
    ancillary.add_creds([SocketCredential(1, 2, 3)])
    ancillary.add_fds([])
    raw = ancillary.as_raw()
    t.say("raw", raw)
    for message in ancillary.messages():
        match message:
            case SCMRights(fds):
                t.say("descriptors", list(fds))
            case SCMCredentials(credentials):
                t.say("credentials", list(credentials))
    other = SocketAncillary()
    t.call("update", other.update_from_raw, [*raw, *raw])
    t.say("merged", (list(other.iter_fds()), len(other.as_raw())))
    t.call("unknown", other.update_from_raw, [(1, 99, b"abc"), (99, 1, b"")])
    t.call("truncated", other.update_from_raw, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, raw[0][2] + b"\1")])
    t.say("after truncated", list(other.iter_fds()))
    t.call("malformed", other.update_from_raw, [(1, 2), raw[0], 3])
    t.say("after malformed", list(other.iter_fds()))
    t.call("not a sequence", other.update_from_raw, 3)
    t.call("clear", other.clear)
    t.say("cleared", other.as_raw())
    t.call("str descriptors", lambda: (other.add_fds(["a"]), other.as_raw()))
    t.call("tuple credentials", lambda: SocketAncillary().add_creds([(1, 2, 3)]))
    defaults = SocketAncillary()
    defaults.add_creds([SocketCredential()])
    t.say("own pid", defaults.as_raw()[0][2][:4] == os.getpid().to_bytes(4, "little"))
    t.say("tuples", (SocketCredential(), UnixCredentials(1, 2, 3)))
    t.make("credentials without values", UnixCredentials)
    t.make("subclass", lambda: type("Sub", (SocketAncillary,), {}))
    t.say("identity", SCMRights(iter(())) == SCMRights(iter(())))
    with t.errors("truth"):
        t.say("truth", bool(SocketAncillary()))


class Keys(TypedAttributeSet):
    first: int = typed_attribute()
    second: int = typed_attribute()
    third: int = typed_attribute()


class Provider(TypedAttributeProvider):
    @property
    def extra_attributes(self) -> Mapping[Any, Any]:
        def missing() -> Any:
            return TypedAttributeProvider().extra(Keys.third)

        def fails() -> Any:
            raise ValueError

        return {Keys.first: lambda: 1, Keys.second: missing, "fails": fails}


@program()
def typed_attributes(t: Transcript) -> None:
    """Typed attributes: sets, providers, defaults"""
    provider = Provider()
    for key in (Keys.first, Keys.second, Keys.third, "fails"):
        t.call("without default", provider.extra, key)
        t.call("with default", provider.extra, key, None)
    t.say("unique", typed_attribute() is typed_attribute())
    t.say("empty", dict(TypedAttributeProvider().extra_attributes))
    t.make("without annotation", lambda: type("Bad", (TypedAttributeSet,), {"x": typed_attribute()}))
    t.make("private", lambda: type("Fine", (TypedAttributeSet,), {"_x": typed_attribute()}))
    t.say("keys", [name for name in ("socket", "family", "sockname", "peername") if hasattr(SocketAttribute, name)])
    for cls in (INETSocketAttribute, UNIXSocketAttribute):
        t.say(cls.__name__, [getattr(cls, name) is getattr(SocketAttribute, name) for name in ("socket", "sockname")])
    t.say("TLS", [hasattr(TLSAttribute, name) for name in ("sslcontext", "peercert", "cipher", "tls_version")])
    t.say(
        "INET client",
        (
            INETClientAttribute.local_address is SocketAttribute.sockname,
            INETClientAttribute.socket is SocketAttribute.socket,
        ),
    )
    t.say(
        "Unix client",
        (
            UNIXClientAttribute.peer_name is SocketAttribute.peername,
            UNIXClientAttribute.socket is SocketAttribute.socket,
        ),
    )


@program()
def receive_parameters(t: Transcript) -> None:
    """RecvParams and RecvAncillaryDataParams"""
    t.say("default", RecvParams())
    t.make("positional", RecvParams, 3)
    t.say("equal", RecvParams(timeout=1) == RecvParams(timeout=1.0))
    with t.errors("frozen"):
        RecvParams().timeout = 3
    t.call("bad timeout is not checked here", RecvParams, timeout=-1)
    t.say("ancillary", RecvAncillaryDataParams(len).data_received is len)
    t.say("tuple", isinstance(RecvAncillaryDataParams(len), tuple))
    t.say("hashable", isinstance(hash(RecvParams()), int))
    with folder() as path:
        t.say("folder", path.exists())
