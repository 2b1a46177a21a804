"""Which servers are measured, under which load."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.peers import EASYNETWORK_VERSION

__all__ = ["BASELINE", "LOOPS", "SERVERS", "WORKLOADS", "Server", "Workload"]


@dataclass(frozen=True)
class Server:
    """One way to write the echo server: a script, its options, and whose packages it imports."""

    name: str
    title: str
    module: str
    options: tuple[str, ...] = ()
    released: bool = False  # runs on the EasyNetwork release rather than on this project
    default: bool = True  # measured without being asked for by name


@dataclass(frozen=True)
class Workload:
    """What each connection sends at once, and again when all is answered."""

    name: str
    title: str
    depth: int  # frames
    frame: int  # bytes, newline included


LOOPS = ("uvloop", "asyncio")

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("1x100", "1 in flight, 100 B", 1, 100),
        Workload("16x100", "16 in flight, 100 B", 16, 100),
        Workload("1x16k", "1 in flight, 16 KiB", 1, 16384),
        Workload("16x16k", "16 in flight, 16 KiB", 16, 16384),
    )
}


def _easynetwork(prefix: str, title: str, *, released: bool, default: frozenset[str] | None = None) -> list[Server]:
    """The six ways to write the server with EasyNetwork; only those in *default* are measured unasked (None: all)."""
    servers = []
    for shape, description, module, options in (
        ("bare", "AsyncStreamServer", "bare", ()),
        ("tcp", "AsyncTCPNetworkServer", "tcp", ()),
        ("tcp-loop", "AsyncTCPNetworkServer, looping handler", "tcp", ("--handler", "loop")),
    ):
        for suffix, kind in (("", "stream"), ("-buffered", "buffered")):
            servers.append(
                Server(
                    name=f"{prefix}-{shape}{suffix}",
                    title=f"{title} {description}{', buffered' if suffix else ''}",
                    module=module,
                    options=("--protocol", kind, *options),
                    released=released,
                    default=default is None or shape + suffix in default,
                )
            )
    return servers


BASELINE = Server("protocol", "hand-written Protocol", "handwritten", ("--write", "message"))

SERVERS = {
    server.name: server
    for server in (
        BASELINE,
        Server("protocol-batch", "hand-written Protocol, one write per batch", "handwritten", ("--write", "batch")),
        Server("streams", "asyncio streams", "streams"),
        *_easynetwork("released", f"EasyNetwork {EASYNETWORK_VERSION}", released=True, default=frozenset({"tcp"})),
        *_easynetwork("ours", "ours:", released=False),
    )
}
