"""``easynetwork demo``: a server process under load, every answer checked, the cost shown."""

from __future__ import annotations

__all__ = ["add_command"]

import argparse

from easynetwork.cli.arguments import Commands, event_loop, integer

_DESCRIPTION = """\
Start a server of JSON lines in a process of its own, on a free port of this machine. Send it packets over
many connections, check that each one is answered once, unaltered and in order, and tell what it cost."""
_EXIT_STATUS = "exit status: 0 if every answer was right, 1 if not, 2 for wrong arguments, 130 after Ctrl-C"


def add_command(commands: Commands) -> None:
    """Add ``demo`` to the commands of a parser."""
    parser = commands.add_parser(
        "demo", help="run a server under load and show what it costs", description=_DESCRIPTION, epilog=_EXIT_STATUS
    )
    _add_integer(parser, "--connections", 32, 20_000, "clients, each with a connection of its own")
    _add_integer(parser, "--packets", 500_000, 10_000_000, "packets to send, all clients together")
    _add_integer(parser, "--in-flight", 16, 100_000, "packets that each client sends ahead of the answers")
    _add_integer(parser, "--payload", 100, 1 << 20, "bytes of text in each packet")
    parser.add_argument(
        "--loop",
        type=event_loop,
        metavar="LOOP",
        help="event loop of server and clients: asyncio or uvloop (default: uvloop where it is installed)",
    )
    parser.set_defaults(run=_run)


def _add_integer(parser: argparse.ArgumentParser, option: str, default: int, highest: int, meaning: str) -> None:
    help_text = f"{meaning} (default: {default:,}; at most {highest:,})"
    parser.add_argument(option, type=integer(1, highest), default=default, metavar="N", help=help_text)


def _run(options: argparse.Namespace) -> int:
    from easynetwork.cli.demo.run import run  # only now: `--help` need not wait for the whole library
    from easynetwork.cli.demo.workload import Workload

    return run(Workload(options.connections, options.packets, options.in_flight, options.payload), options.loop)
