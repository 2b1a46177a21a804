"""A server, honest clients and a crowd that is quiet or misbehaves, each in a process of its own."""

from __future__ import annotations

__all__ = ["Findings", "put_under_load"]

import contextlib
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tests.support.certificates import the_certificates

from benchmarks.peers import our_interpreter
from benchmarks.process import ProgramProcess

GATHERING = 60.0
"""Seconds after which a crowd that is not there, or has not gone, will never."""

SETTLING = 20.0
"""Seconds that the server has to notice that clients have gone: handshakes and closing TLS take their time."""


@dataclass
class Findings:
    """What was seen."""

    quiet: list[float] = field(default_factory=list)
    """Answers per second to honest clients while the crowd was quiet, measurement by measurement."""

    loud: list[float] = field(default_factory=list)
    """The same, right before or after, while it misbehaved."""

    busy: list[float] = field(default_factory=list)
    """How much of a core the server took in each measurement of `loud`."""

    slowest: list[int] = field(default_factory=list)
    """Answers to the slowest honest client in each measurement of `loud`."""

    mischief: dict[str, int] = field(default_factory=dict)
    """How often the crowd did what."""

    left: dict[str, int] = field(default_factory=dict)
    """How many tasks and descriptors the server has more than before the crowd came, after it had gone."""

    left_by_all: dict[str, int] = field(default_factory=dict)
    """The same of all clients."""

    resident: list[int] = field(default_factory=list)
    """Memory of the server, in bytes, each time the crowd had gone."""

    alone: list[int] = field(default_factory=list)
    """The same, without any clients: before them, and after them."""

    blocks: list[int] = field(default_factory=list)
    """How many pieces of memory Python objects had there, at the same times."""

    records: dict[str, int] = field(default_factory=dict)
    """What the server has logged, from warnings upwards, and how often."""

    errors: str = ""
    """The last line that the server wrote to its standard error."""

    @property
    def kept(self) -> float:
        """How much of their throughput honest clients kept under load."""
        return statistics.median(self.loud) / statistics.median(self.quiet)

    def __str__(self) -> str:
        return "\n".join(
            [
                f"honest clients kept {self.kept:.0%} of their answers per second:",
                "    quiet " + " ".join(f"{rate:,.0f}" for rate in self.quiet),
                "    loud  " + " ".join(f"{rate:,.0f}" for rate in self.loud),
                f"    at least {min(self.slowest)} for each client",
                f"    the server took up to {max(self.busy):.0%} of a core",
                f"left behind: {self.left}, by all clients: {self.left_by_all}",
                f"MiB resident: {_mebibytes(self.alone)} without clients, before and after;",
                f"    {_mebibytes(self.resident)} with honest ones, each time the crowd had gone",
                "    blocks of memory then: " + " ".join(f"{count:,}" for count in self.blocks),
                f"log records: {sum(self.records.values()):,}",
                *(f"    {count:,} times {record}" for record, count in sorted(self.records.items())),
                f"mischief: {sum(self.mischief.values()):,}, "
                + ", ".join(f"{name} {count:,}" for name, count in sorted(self.mischief.items())),
            ]
        )


def put_under_load(
    loop: str, transport: str, *, honest: int, crowd: int, rounds: int, seconds: float, seed: str
) -> Findings:
    """Put a server under load, and looks at it meanwhile and afterwards.

    Parameters:
        loop: what the server runs on: ``"asyncio"``, ``"uvloop"`` or ``"trio"``.
        transport: ``"tcp"`` or ``"tls"``.
        honest: how many clients behave.
        crowd: how many others there are.
        rounds: of a quiet and a loud phase; the crowd leaves in between. Another one before is not measured.
        seconds: length of each phase.
        seed: of all that is random.
    """
    interpreter = our_interpreter(sys.executable)
    certificates = the_certificates()
    findings = Findings()
    with contextlib.ExitStack() as stack:

        def start(program: str, *options: object, **properties: Any) -> ProgramProcess:
            words = [str(option) for option in options]
            process = ProgramProcess(f"tests.soak.{program}", words, interpreter, transport=transport)
            return stack.enter_context(process)

        security: list[str] = []
        certificate: list[str] = []
        if transport == "tls":
            certificate = ["--certificate", stack.enter_context(certificates.server_file())]
            security = ["--authority", stack.enter_context(certificates.authority_file())]
        server = start("server", "--loop", loop, "--transport", transport, "--protocol", "buffered", *certificate)
        common = ["--port", server.address, "--seed", seed, "--seconds", seconds, *security]
        alone = _state(server)
        findings.alone.append(server.resident_bytes())
        clients = start("honest", "--connections", honest, *common)
        others = start("crowd", "--connections", crowd, *common)
        before = _state(server)

        def measure(mood: str) -> dict[str, Any]:
            others.ask(mood, GATHERING)
            begin, cpu = time.perf_counter(), server.cpu_seconds()
            measured: dict[str, Any] = json.loads(clients.ask("measure", seconds + GATHERING))
            measured["busy"] = (server.cpu_seconds() - cpu) / (time.perf_counter() - begin)
            return measured

        def end_round() -> None:
            findings.mischief = json.loads(others.ask("leave", GATHERING))
            findings.left = _left(server, before)
            findings.blocks.append(json.loads(server.ask("report"))["blocks"])
            findings.resident.append(server.resident_bytes())

        for mood in ("quiet", "loud"):  # to have everything loaded and allocated once
            measure(mood)
        end_round()
        for number in range(rounds):
            for mood in ("quiet", "loud") if number % 2 else ("loud", "quiet"):
                measured = measure(mood)
                if mood == "quiet":
                    findings.quiet.append(measured["rate"])
                else:
                    findings.loud.append(measured["rate"])
                    findings.slowest.append(measured["slowest"])
                    findings.busy.append(measured["busy"])
            end_round()
        clients.ask("leave", seconds + GATHERING)
        findings.left_by_all = _left(server, alone)
        findings.alone.append(server.resident_bytes())
        findings.records = json.loads(server.ask("report"))["records"]
        findings.errors = server.error_output()
    return findings


def _mebibytes(sizes: list[int]) -> str:
    return " ".join(f"{size / (1 << 20):.1f}" for size in sizes)


def _state(server: ProgramProcess) -> dict[str, int]:
    return {
        "tasks": json.loads(server.ask("report", GATHERING))["tasks"],
        "descriptors": server.open_descriptors(),
    }


def _left(server: ProgramProcess, before: dict[str, int]) -> dict[str, int]:
    """Wait until the server has as many things as before, but not for ever. Return what there is more of."""
    deadline = time.monotonic() + SETTLING
    while (state := _state(server)) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    return {name: count - before[name] for name, count in state.items() if count != before[name]}
