"""A platform without Unix sockets: their modules cannot be imported there, and everything else can."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import socket
del socket.AF_UNIX

import importlib, pkgutil, easynetwork

UNIX_MODULES = %r

def check(name):
    try:
        importlib.import_module(name)
    except ImportError:
        assert name in UNIX_MODULES, name
    else:
        assert name not in UNIX_MODULES, name

for module in pkgutil.walk_packages(easynetwork.__path__, "easynetwork."):
    if not any(part.startswith("_") for part in module.name.split(".")):
        check(module.name)

import easynetwork.servers.handlers, easynetwork.lowlevel.socket
assert not hasattr(easynetwork.servers.handlers, "UNIXClientAttribute")
assert not hasattr(easynetwork.lowlevel.socket, "UnixSocketAddress")

from easynetwork.lowlevel.api_async.backend.utils import new_builtin_backend
backend = new_builtin_backend("asyncio")
for coroutine in (backend.create_unix_stream_connection("x"), backend.create_unix_stream_listener("x", 1)):
    try:
        coroutine.send(None)  # asyncio itself has no loop without them here
    except NotImplementedError:
        pass
    else:
        raise AssertionError
"""

UNIX_MODULES = [
    f"easynetwork.{module}"
    for module in (
        "clients.async_unix_datagram",
        "clients.async_unix_stream",
        "clients.unix_datagram",
        "clients.unix_stream",
        "servers.async_unix_datagram",
        "servers.async_unix_stream",
        "servers.standalone_unix_datagram",
        "servers.standalone_unix_stream",
    )
]


def test_only_the_modules_of_unix_sockets_need_them() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM % UNIX_MODULES], check=True, timeout=60)
