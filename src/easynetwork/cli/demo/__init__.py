"""``easynetwork demo``: put a server process under load, check every answer and show the cost."""

from __future__ import annotations

__all__ = ["add_command"]

import argparse

from easynetwork.cli.arguments import Commands, event_loop, integer, names_of
from easynetwork.cli.errors import CommandError

_STREAMS = ("tcp", "tls", "unix")
_DATAGRAMS = ("udp", "unix-datagram")
_CLIENTS = ("async", "blocking")

_IN_FLIGHT_IN_STREAMS = 16
_IN_FLIGHT_AS_DATAGRAMS = 4  # with 32 clients, these fit into the system's buffers
_MAX_DATAGRAM_PAYLOAD = 65_000
_MAX_BLOCKING_CLIENTS = 1_000

_DESCRIPTION = """\
Start a server of JSON packets in its own process on this machine. Send it packets from many clients,
check that each one is answered once, unaltered and in order, and report the cost."""
_EXIT_STATUS = "exit status: 0 if every answer was right, 1 if not, 2 for wrong arguments, 130 after Ctrl-C"


def add_command(commands: Commands) -> None:
    """Add ``demo`` to the commands of a parser."""
    parser = commands.add_parser(
        "demo", help="run a server under load and show what it costs", description=_DESCRIPTION, epilog=_EXIT_STATUS
    )
    _add_integer(parser, "--connections", 32, 20_000, "number of clients, each with its own connection")
    _add_integer(parser, "--packets", 500_000, 10_000_000, "packets to send, by all clients together")
    parser.add_argument(
        "--in-flight",
        type=integer(1, 100_000),
        metavar="N",
        help="packets that each client sends ahead of the answers; if there are too many, datagrams get lost "
        f"(default: {_IN_FLIGHT_IN_STREAMS}, or {_IN_FLIGHT_AS_DATAGRAMS} datagrams; at most 100,000)",
    )
    _add_integer(parser, "--payload", 100, 1 << 20, "bytes of text in each packet")
    parser.add_argument(
        "--loop",
        type=event_loop,
        metavar="LOOP",
        help="event loop of server and clients: asyncio or uvloop (default: uvloop where it is installed)",
    )
    transports = _STREAMS + _DATAGRAMS
    parser.add_argument(
        "--transport",
        type=names_of(transports),
        default=["tcp"],
        metavar="NAMES",
        help=f"transports to measure, separated by commas: {', '.join(transports)} (default: tcp)",
    )
    parser.add_argument(
        "--client",
        choices=_CLIENTS,
        default="async",
        help="kind of clients: async (tasks of one event loop) or blocking (two threads for each client) "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--statistics",
        action="store_true",
        help="show the numbers of the server every second; measuring them costs CPU",
    )
    parser.set_defaults(run=_run)


def _add_integer(parser: argparse.ArgumentParser, option: str, default: int, highest: int, meaning: str) -> None:
    help_text = f"{meaning} (default: {default:,}; at most {highest:,})"
    parser.add_argument(option, type=integer(1, highest), default=default, metavar="N", help=help_text)


def _run(options: argparse.Namespace) -> int:
    from easynetwork.cli.demo.run import run  # import late: `--help` need not load the whole library
    from easynetwork.cli.demo.workload import Workload

    is_blocking = options.client == "blocking"
    if is_blocking and options.connections > _MAX_BLOCKING_CLIENTS:
        raise CommandError(
            f"blocking clients need threads: at most {_MAX_BLOCKING_CLIENTS:,} connections are allowed, "
            f"not {options.connections:,}",
            status=2,
        )
    workloads: dict[str, Workload] = {}
    for transport in options.transport:
        is_stream = transport in _STREAMS
        if not is_stream and options.payload > _MAX_DATAGRAM_PAYLOAD:
            raise CommandError(
                f"a payload of {options.payload:,} B does not fit into a datagram: "
                f"at most {_MAX_DATAGRAM_PAYLOAD:,} B with {transport}",
                status=2,
            )
        in_flight = options.in_flight or (_IN_FLIGHT_IN_STREAMS if is_stream else _IN_FLIGHT_AS_DATAGRAMS)
        workloads[transport] = Workload(options.connections, options.packets, in_flight, options.payload)
    return run(workloads, options.loop, blocking=is_blocking, statistics=options.statistics)
