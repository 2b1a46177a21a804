"""Restart a server again and again under load, and look for lost requests: `python benchmarks/restart.py --help`.

The next process of the server listens on the same port (`SO_REUSEPORT`) before the one before it is told to leave. The
clients keep requests in flight, and connect again when the server ends their connection.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    # As a script, Python searches for modules beside this file, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.certificates import certificate
from benchmarks.loads.numbered import client_of, numbers_of
from benchmarks.loads.returning import IN_FLIGHT, kind_of
from benchmarks.peers import EASYNETWORK_VERSION, Interpreter, our_interpreter, peer_interpreter
from benchmarks.process import ProgramProcess
from benchmarks.progress import Progress
from benchmarks.report import table

STOPS = ("drain", "shutdown")
_PATIENCE = 30.0  # seconds that a server or the clients may need to finish
_POLL = 0.02  # seconds between two looks at the number of replies


@dataclass
class Restarts:
    """What happened to the requests."""

    answered: set[int] = field(default_factory=set)  # replies that a client received completely
    read: set[int] = field(default_factory=set)  # requests that a server read
    sent: int = 0  # replies that a handler has sent
    outcomes: Counter[str] = field(default_factory=Counter)  # of the connections
    left: list[int] = field(default_factory=lambda: [0, 0, 0])  # the sums of what drain() returned

    @property
    def unanswered(self) -> Counter[str]:
        """The requests that a server read, but to which no complete reply came, by the kind of their client."""
        return Counter(kind_of(client_of(number)).title for number in self.read - self.answered)

    @property
    def is_faultless(self) -> bool:
        return not self.unanswered.total() and not self.outcomes["ended in a reply"]


def restart(interpreter: Interpreter, transport: str, stop: str, options: argparse.Namespace) -> Restarts:
    """Serve all requests with `options.restarts` processes more than one, one after the other."""
    ours = our_interpreter(sys.executable)
    result = Restarts()
    server = _server(interpreter, transport, stop, options, 0)
    try:
        load = ["--port", server.address, "--clients", str(options.clients), "--transport", transport]
        with ProgramProcess("benchmarks.loads.returning", load, ours, transport=transport) as clients:
            for number in range(1, options.restarts + 1):
                _await_replies(clients, options.requests * number // (options.restarts + 1))
                following = _server(interpreter, transport, stop, options, int(server.address))
                _leave(server, result)
                server = following
            _await_replies(clients, options.requests)
            clients.tell("finish")
            report = json.loads(clients.hear(_PATIENCE))
        _leave(server, result)
    except BaseException:
        server.stop()
        raise
    result.answered = numbers_of(report["answered"])
    result.outcomes.update(report["outcomes"])
    return result


def _server(
    interpreter: Interpreter, transport: str, stop: str, options: argparse.Namespace, port: int
) -> ProgramProcess:
    arguments = ["--loop", options.loop, "--transport", transport, "--certificate", str(certificate())]
    arguments += ["--stop", stop, "--port", str(port)]
    return ProgramProcess("benchmarks.servers.restarted", arguments, interpreter, transport=transport)


def _await_replies(clients: ProgramProcess, count: int) -> None:
    while int(clients.ask("count", _PATIENCE)) < count:
        time.sleep(_POLL)


def _leave(server: ProgramProcess, result: Restarts) -> None:
    """Stop *server*, and add its report."""
    server.ask("leave")
    report = json.loads(server.hear(_PATIENCE))
    server.stop()
    result.read |= numbers_of(report["read"])
    result.sent += report["answered"]
    if report["left"]:
        result.left = [old + new for old, new in zip(result.left, report["left"], strict=True)]


def report(columns: dict[str, Restarts]) -> str:
    """Return a table."""
    found = columns.values()

    def row(title: str, bar: str, values: list[int]) -> list[str]:
        return [title, bar, *(f"**{value:,}**" if bar and value else f"{value:,}" for value in values)]

    def outcomes(name: str) -> list[int]:
        return [restarts.outcomes[name] for restarts in found]

    kinds = sorted({kind for restarts in found for kind in restarts.unanswered})
    rows = [
        row("replies received", "", [len(restarts.answered) for restarts in found]),
        row("requests read and not answered", "0", [restarts.unanswered.total() for restarts in found]),
        *(row(f"– of clients of the kind: {kind}", "", [r.unanswered[kind] for r in found]) for kind in kinds),
        row("replies that a handler sent in vain", "", [restarts.sent - len(restarts.answered) for restarts in found]),
        row("replies torn by an ordinary end", "0", outcomes("ended in a reply")),
        row("replies torn by a reset", "", outcomes("reset in a reply")),
        row("connections", "", outcomes("connections")),
        row("ended by the server, in order", "", outcomes("ended")),
        row("reset, between two replies", "", outcomes("reset")),
        row("ended or reset before a reply", "", outcomes("without a reply")),
        row("refused", "", outcomes("refused")),
        row("connections that draining finished", "", [restarts.left[0] for restarts in found]),
        row("closed while they were idle", "", [restarts.left[1] for restarts in found]),
        row("cut", "", [restarts.left[2] for restarts in found]),
    ]
    return table(["", "bar", *columns], rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--transports", nargs="+", choices=["tcp", "tls"], default=["tcp", "tls"])
    parser.add_argument("--stop", nargs="+", choices=STOPS, default=list(STOPS), help="how the servers leave")
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1_000_000, help="replies to receive")
    parser.add_argument("--clients", type=int, default=50, help=f"each has {IN_FLIGHT} requests in flight")
    parser.add_argument("--no-release", action="store_true", help=f"leave out EasyNetwork {EASYNETWORK_VERSION}")
    parser.add_argument("--check", action="store_true", help="exit with status 1 if draining loses or tears something")
    options = parser.parse_args(arguments)
    ours = our_interpreter(sys.executable)
    ways = [("this library", ours, stop) for stop in options.stop]
    if not options.no_release:
        ways.append((f"EasyNetwork {EASYNETWORK_VERSION}", peer_interpreter(ours), "shutdown"))
    progress = Progress()
    columns = {}
    for title, interpreter, stop in ways:
        for transport in options.transports:
            name = f"{title}, {stop}, {transport}"
            progress(name)
            columns[name] = restart(interpreter, transport, stop, options)
    print(report(columns))
    has_failed = any("drain" in name and not restarts.is_faultless for name, restarts in columns.items())
    return 1 if options.check and has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
