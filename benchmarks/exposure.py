"""Expose servers to hostile peers, and measure what these take from honest ones.

The server has a core of its own. Honest clients and hostile peers share the other one: hostile peers sleep nearly
always, and must not be able to slow the server down by taking its core.

In the control run, the same hostile peers attack another process of the same server. It runs on the core of the load:
on the core of the measured server, it would take from the server what the attack takes, and hide it. So the control run
slows the honest clients down rather than the server. The figures without any attack show how much.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.candidates import Cores
from benchmarks.catalogue import Workload
from benchmarks.certificates import certificate
from benchmarks.loads.attackers import PAUSE
from benchmarks.loads.echo import EchoLoad
from benchmarks.loads.hostile_peers import KINDS
from benchmarks.loads.lines import make_lines
from benchmarks.loads.senders import send_from_many
from benchmarks.loads.sockets import dial, exchange
from benchmarks.peers import Interpreter, our_interpreter
from benchmarks.process import ProgramError, ProgramProcess
from benchmarks.readings.idle import await_idle

__all__ = ["EAGER", "HONEST", "NEWCOMERS", "Bench", "DatagramExposure", "Program", "StreamExposure", "Throughput"]

HONEST = Workload("honest", "20 honest clients with one request in flight each", depth=1, frame=100, connections=20)
EAGER = Workload("eager", "20 honest clients with 16 requests in flight each", depth=16, frame=100, connections=20)
"""These cost the load so little that the server is always busy, though the load shares its core with hostile peers."""
NEWCOMERS = 10
"""Honest clients that connect during an attack, one after the other."""

_MESSAGE = make_lines(100, 1, seed=0)
_GIVE_UP = 2.0  # seconds that a newcomer waits
_PATIENCE = 60.0  # seconds that a server under attack may need to answer anything


@dataclass(frozen=True)
class Program:
    """A library on an interpreter, and the limits of its servers."""

    title: str
    interpreter: Interpreter
    limits: str

    def __str__(self) -> str:
        return self.title if self.limits == "off" else f"{self.title} with limits"


class Throughput(NamedTuple):
    """The requests of the honest clients that a server answered in a window."""

    messages: float
    seconds: float
    cpu_seconds: float  # of the server

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.messages / self.cpu_seconds


@dataclass
class StreamExposure:
    """What happened to a server of streams."""

    alone: list[Throughput] = field(default_factory=list)  # of the honest clients
    control: list[Throughput] = field(default_factory=list)
    attacked: list[Throughput] = field(default_factory=list)
    newcomers: int = 0  # that were answered
    during: int = 0  # bytes of resident memory, at the end of an attack
    after: list[int] = field(default_factory=list)  # when the hostile peers have left
    log_lines: float = 0.0  # per minute
    left: int = 0  # descriptors that are still open when the hostile peers have left
    peers: dict[str, dict[str, float]] = field(default_factory=dict)  # a Record for each kind, of the last attack
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass
class DatagramExposure:
    """What happened to a server of datagrams."""

    before: int  # bytes of resident memory
    after: list[int] = field(default_factory=list)  # when half of the senders have sent, and when all have
    heard: int = 0  # datagrams that handlers received
    log_lines: int = 0
    is_answering: bool = False


class Bench:
    """The cores of a run, and the options of its programs."""

    def __init__(self, options: argparse.Namespace, cores: Cores) -> None:
        self._options = options
        self._cores = cores
        self._ours = our_interpreter(sys.executable)

    def fairness(self, program: Program, handler: str, flooders: int) -> tuple[Throughput, Throughput]:
        """Measure the honest clients alone, and beside flooders, on a new server."""
        with self._server("exposed", program, self._cores.program, "--handler", handler) as server:
            ports = _choose_port(server, "tcp")
            with EchoLoad(server, HONEST) as load:
                self._warm_up(load)
                alone = self._measure(server, load)
                with self._attackers(ports, {"flooder": flooders}):
                    self._warm_up(load)
                    return alone, self._measure(server, load)

    def streams(self, program: Program, transport: str, peers: dict[str, int]) -> StreamExposure:
        """Attack a server of streams several times. The honest clients use *transport*."""
        result = StreamExposure()
        with (
            self._server("exposed", program, self._cores.program) as server,
            self._server("exposed", program, self._cores.load) as other,
        ):
            ports = _choose_port(server, transport)
            result.limits = json.loads(server.ask("limits"))
            with EchoLoad(server, EAGER) as load:
                self._warm_up(load)
                await_idle(server)
                descriptors = server.open_descriptors()
                for _ in range(self._options.rounds):
                    result.alone.append(self._measure(server, load))
                    with self._attackers(other.address, peers):
                        load.run(2 * PAUSE)
                        result.control.append(self._measure(server, load, _round_trip(result.limits)))
                    self._attack(server, ports, peers, load, result)
                    result.left = _await_descriptors(server, descriptors)
                    result.after.append(server.resident_bytes())
        return result

    def _attack(
        self, server: ProgramProcess, ports: str, peers: dict[str, int], load: EchoLoad, result: StreamExposure
    ) -> None:
        begin = time.monotonic()
        lines = int(server.ask("log"))
        with self._attackers(ports, peers) as attackers:
            load.run(2 * PAUSE)
            result.attacked.append(self._measure(server, load, _round_trip(result.limits)))
            if len(result.attacked) == self._options.rounds:
                result.newcomers = sum(_is_answered(server) for _ in range(NEWCOMERS))
            result.during = server.resident_bytes(collect=False)
            if len(result.attacked) == self._options.rounds:
                load.run(max(0.0, begin + self._options.attack_seconds - time.monotonic()))
            result.peers = json.loads(attackers.ask("report", _PATIENCE))
            minutes = (time.monotonic() - begin) / 60
        result.log_lines = (int(server.ask("log", _PATIENCE)) - lines) / minutes

    def datagrams(self, program: Program, senders: int, waiting: int) -> DatagramExposure:
        """Let *senders* addresses send a datagram each. Those of *waiting* of them make a handler wait."""
        with self._server("exposed_datagram", program, self._cores.program) as server:
            server.transport = "udp"
            _is_answered(server)  # leave out the imports and allocations of the first datagram
            result = DatagramExposure(server.resident_bytes())
            for part in (range(senders // 2), range(senders // 2, senders)):
                send_from_many(int(server.address), part, waiting / senders)
                await_idle(server)
                result.after.append(server.resident_bytes())
            result.heard = int(server.ask("heard"))
            result.log_lines = int(server.ask("log"))
            result.is_answering = _is_answered(server)
        return result

    def _server(self, name: str, program: Program, core: int | None, *more: str) -> ProgramProcess:
        options = ["--loop", self._options.loop, "--transport", "tls", "--certificate", str(certificate())]
        options += ["--limits", program.limits, "--deadline", str(self._options.deadline), *more]
        module = f"benchmarks.servers.{name}"
        return ProgramProcess(module, options, program.interpreter, transport="tcp", core=core)

    def _attackers(self, ports: str, peers: dict[str, int]) -> ProgramProcess:
        tcp, tls = ports.split()
        numbers = [f"{kind}={count}" for kind, count in peers.items()]
        options = ["--tcp", tcp, "--tls", tls, "--peers", *numbers]
        return ProgramProcess("benchmarks.loads.attackers", options, self._ours, transport="tcp", core=self._cores.load)

    def _warm_up(self, load: EchoLoad) -> None:
        load.run(self._options.seconds / 4)

    def _measure(self, server: ProgramProcess, load: EchoLoad, at_least: float = 0.0) -> Throughput:
        """Measure for as long as the options say, but for *at_least* so many seconds."""
        before = server.cpu_seconds()
        messages = seconds = 0.0
        while not messages and seconds < _PATIENCE:  # a server that is attacked may answer nothing for a while
            window = load.run(max(self._options.seconds, at_least))
            messages += window.messages
            seconds += window.seconds
        return Throughput(messages, seconds, server.cpu_seconds() - before)


def _choose_port(server: ProgramProcess, transport: str) -> str:
    """Let the load use the port for *transport*. Return both ports."""
    ports = server.address
    tcp, tls = ports.split()
    server.address = tls if transport == "tls" else tcp
    server.transport = transport
    return ports


def _round_trip(limits: dict[str, Any]) -> float:
    """Return the seconds in which each hostile peer reaches its deadline and comes again, so that it costs its part."""
    deadlines: Iterable[float | None] = (limits.get(kind.deadline) for kind in KINDS.values() if kind.deadline)
    return PAUSE + max((deadline for deadline in deadlines if deadline is not None), default=0.0)


def _await_descriptors(server: ProgramProcess, count: int) -> int:
    """Wait until the server has only *count* descriptors. Return how many more it keeps."""
    end = time.monotonic() + _PATIENCE
    while server.open_descriptors() > count and time.monotonic() < end:
        time.sleep(0.05)
    await_idle(server)
    return server.open_descriptors() - count


def _is_answered(server: ProgramProcess) -> bool:
    """Tell whether a client that comes now gets an answer."""
    try:
        with closing(dial(server.transport, server.address)) as sock:
            exchange(sock, _MESSAGE, timeout=_GIVE_UP)
    except (OSError, ProgramError):
        return False
    return True
