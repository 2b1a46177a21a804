"""The measurements, as data: groups of programs that do the same job, and their workloads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.peers import EASYNETWORK_VERSION

__all__ = ["BLOB", "GROUPS", "LOOPS", "PROGRAMS", "READINGS", "RECEIPT", "Group", "Program", "Workload"]

LOOPS = ("uvloop", "asyncio", "trio", "blocking")

BLOB = 1 << 20  # size of a bulk packet in bytes
RECEIPT = 8  # number of its bytes that a sink sends back


@dataclass(frozen=True)
class Program:
    """One way to do the job of a group: a script, its options, and the library that it imports."""

    name: str
    title: str
    module: str
    options: tuple[str, ...] = ()
    released: bool = False  # runs on the EasyNetwork release rather than on this project
    default: bool = True  # whether it is measured when only its group is selected
    pure: bool = False  # runs without the compiled module


@dataclass(frozen=True)
class Workload:
    """The frames that each connection sends at once, and again when all are answered."""

    name: str
    title: str
    depth: int  # frames
    frame: int  # bytes, newline included
    answer: int | None = None  # bytes of the answer to a frame; None if the answer is the frame itself
    load: str = "echo"  # a name in benchmarks.loads
    connections: int = 32
    unit: str = "message"


@dataclass(frozen=True)
class Group:
    """Programs that do the same job over the same transport. The others are compared with the first."""

    name: str
    title: str
    programs: tuple[Program, ...]
    workloads: tuple[Workload, ...] = ()
    transport: str = "tcp"
    loops: tuple[str, ...] = ("uvloop",)  # measured unless --loops selects others
    readings: tuple[str, ...] = ()  # names in benchmarks.readings: figures that are measured once, not in rounds

    @property
    def baseline(self) -> str:
        return self.key(self.programs[0])

    def key(self, program: Program) -> str:
        """Return the name of a program in the results. It includes the group."""
        return f"{self.name}/{program.name}"


# The name of each reading in the results, and its title.
READINGS = {
    "idle-used": "KiB per idle connection, after a message",
    "idle-silent": "KiB per idle connection, never used",
    "flood-mib": "MiB kept, one sender",
    "flood-lost": "unaccounted, one sender",
    "flood-many-mib": "MiB kept, 1,000 senders",
    "flood-many-lost": "unaccounted, 1,000 senders",
    "crowd-kib": "KiB per idle connection",
    "empty-p99": "p99 µs of one client, server empty",
    "crowd-p99": "p99 µs of one client, server full",
    "crowd-slowdown": "p99 of one client, full over empty",
}

_SINGLE = Workload("1x100", "1 in flight, 100 B", 1, 100)
_MANY = Workload("16x100", "16 in flight, 100 B", 16, 100)
_LARGE = Workload("1x16k", "1 in flight, 16 KiB", 1, 16384)
_MANY_LARGE = Workload("16x16k", "16 in flight, 16 KiB", 16, 16384)

# The commands to the clients; each command covers `depth` packets.
_PING = Workload("ping", "ping-pong of 100 B", 1000, 100, load="client", connections=1, unit="packet")
_SEND = Workload("send", "100,000 packets of 100 B, sent", 100_000, 100, load="client", connections=1, unit="packet")
_RECEIVE = Workload(
    "receive", "100,000 packets of 100 B, received", 100_000, 100, load="client", connections=1, unit="packet"
)

_PROTOCOL = Program("protocol", "hand-written Protocol", "servers.handwritten", ("--write", "message"))
_BATCH = Program(
    "protocol-batch", "hand-written Protocol, one write per batch", "servers.handwritten", ("--write", "batch")
)
_STREAMS = Program("streams", "asyncio streams", "servers.streams")
_ANYIO = Program("anyio", "AnyIO", "servers.anyio_lines")
_TWISTED = Program("twisted", "Twisted LineReceiver", "servers.twisted_lines")


def _both(
    shape: str, title: str, module: str, *options: str, released: bool = False, ours: bool = True
) -> tuple[Program, Program]:
    """Return a program for the EasyNetwork release and for this project; *released*, *ours*: measured by default."""
    return (
        Program(
            f"released-{shape}",
            f"EasyNetwork {EASYNETWORK_VERSION} {title}",
            module,
            options,
            released=True,
            default=released,
        ),
        Program(f"ours-{shape}", f"ours: {title}", module, options, default=ours),
    )


def _servers(low: str, high: str, bare: str = "servers.bare", full: str = "servers.full") -> tuple[Program, ...]:
    """Return the low-level server named *low*, and the network server named *high* with both kinds of handlers."""
    return (
        *_both("bare", low, bare),
        *_both("full", high, full, released=True),
        *_both("full-loop", f"{high}, looping handler", full, "--handler", "loop"),
    )


def _with_pure(programs: tuple[Program, ...]) -> tuple[Program, ...]:
    """Return *programs*, and our network servers among them once more, as pure Python."""
    return programs + tuple(
        replace(
            program,
            name=program.name.replace("ours-", "pure-"),
            title=program.title.replace("ours: ", "ours, pure Python: "),
            pure=True,
        )
        for program in programs
        if program.name in ("ours-full", "ours-full-loop")
    )


def _buffered(programs: tuple[Program, ...]) -> tuple[Program, ...]:
    """Return *programs* with BufferedStreamProtocol. They are not measured by default."""
    return tuple(
        replace(
            program,
            name=f"{program.name}-buffered",
            title=f"{program.title}, buffered",
            options=(*program.options, "--protocol", "buffered"),
            default=False,
        )
        for program in programs
    )


def _usually(programs: tuple[Program, ...], *names: str) -> tuple[Program, ...]:
    """Return *programs*, of which only *names* are measured by default."""
    return tuple(replace(program, default=program.name in names) for program in programs)


_TCP = _servers("AsyncStreamServer", "AsyncTCPNetworkServer")


def _bulk(name: str, title: str, job: str, workload: str, answer: int) -> Group:
    """Return a group of servers with large packets, where the number of copies decides the cost."""
    return Group(
        name,
        title,
        (
            Program("protocol", "hand-written BufferedProtocol", "servers.handwritten_bulk", ("--job", job)),
            *_both("bare", "AsyncStreamServer, buffered", "servers.bare_bulk", "--job", job, released=True),
        ),
        (Workload("1m", workload, 1, BLOB, answer=answer, connections=4),),
    )


GROUPS = {
    group.name: group
    for group in (
        Group(
            "tcp",
            "TCP",
            (_PROTOCOL, _BATCH, _STREAMS, _ANYIO, _TWISTED, *_with_pure(_TCP), *_buffered(_TCP)),
            (_SINGLE, _MANY, _LARGE, _MANY_LARGE),
            loops=("uvloop", "asyncio"),
            readings=("idle",),
        ),
        Group(
            "tls",
            "TLS",
            (
                _PROTOCOL,
                Program(
                    "protocol-aiofastnet",
                    "hand-written Protocol on aiofastnet",
                    "servers.handwritten",
                    ("--network", "aiofastnet"),
                ),
                _STREAMS,
                *_with_pure(_TCP),
            ),
            (_SINGLE, _MANY, _LARGE),
            transport="tls",
            readings=("idle",),
        ),
        Group(
            "unix",
            "Unix stream",
            (_PROTOCOL, _STREAMS, *_with_pure(_servers("AsyncStreamServer", "AsyncUnixStreamServer"))),
            (_SINGLE, _MANY),
            transport="unix",
        ),
        Group(
            "udp",
            "UDP",
            (
                Program("protocol", "hand-written DatagramProtocol", "servers.handwritten_datagram"),
                Program("anyio", "AnyIO", "servers.anyio_datagram"),
                *_with_pure(
                    _servers(
                        "AsyncDatagramServer",
                        "AsyncUDPNetworkServer",
                        bare="servers.bare_datagram",
                        full="servers.full_datagram",
                    )
                ),
            ),
            tuple(
                Workload(name, f"{name}, 100 B".replace("-", " "), 1, 100, connections=count)
                for name, count in (("1-socket", 1), ("8-sockets", 8), ("32-sockets", 32))
            ),
            transport="udp",
        ),
        Group(
            "flood",
            "Datagram flood",
            _both("bare", "AsyncDatagramServer", "servers.stalled_datagram", released=True),
            transport="udp",
            readings=("flood",),
        ),
        _bulk("bulk-sink", "Bulk sink", "sink", "1 MiB packets, a short receipt for each", RECEIPT),
        _bulk("bulk-echo", "Bulk echo", "echo", "1 MiB packets", BLOB),
        Group(
            "connect",
            "Short connections",
            (_PROTOCOL, *_usually(_TCP, "released-full", "ours-bare", "ours-full", "ours-full-loop")),
            (Workload("connect", "connect, echo 100 B, close", 1, 100, load="connections", unit="connection"),),
        ),
        Group(
            "crowd",
            "Crowd of idle connections",
            # Without EasyNetwork 1.2.0, which would take gigabytes.
            (_PROTOCOL, *_usually(_TCP, "ours-full", "ours-full-loop")),
            readings=("crowd",),
        ),
        Group(
            "clients",
            "Async clients",
            (
                Program("streams", "asyncio streams", "clients.streams"),
                *_both("tcp", "AsyncTCPNetworkClient", "clients.tcp", released=True),
            ),
            (_PING, _SEND, _RECEIVE),
        ),
        Group(
            "blocking",
            "Blocking clients",
            (
                Program("socket", "a loop with a bare socket", "clients.plain_socket"),
                *_both("tcp", "TCPNetworkClient", "clients.blocking_tcp", released=True),
            ),
            (_PING,),
            loops=("blocking",),
        ),
        Group(
            "trio",
            "TCP on trio",
            (
                Program("loop", "trio streams, a hand-written loop", "servers.handwritten_trio"),
                _ANYIO,
                *_usually(_TCP, "released-full", "ours-bare", "ours-full", "ours-full-loop"),
            ),
            (_SINGLE, _MANY),
            loops=("trio",),
        ),
        Group(
            "generator",
            "TCP, a serializer made of generators",
            (
                Program(
                    "protocol-batch",
                    "hand-written Protocol, one write per batch",
                    "servers.handwritten",
                    ("--write", "batch"),
                ),
                *_both(
                    "full-loop",
                    "AsyncTCPNetworkServer, looping handler",
                    "servers.full",
                    *("--handler", "loop", "--protocol", "generator"),
                    released=True,
                ),
            ),
            (_SINGLE, _MANY),
        ),
    )
}

PROGRAMS = {group.key(program): program for group in GROUPS.values() for program in group.programs}
