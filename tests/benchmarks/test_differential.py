"""The comparison with the release, with peers that are made up: no network, and no release."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pkgutil
import re
import sys
import warnings
from pathlib import Path

import pytest

import easynetwork
from benchmarks import compare_behaviour
from benchmarks.differential.comparison import Comparison, Verdict, compare, compare_all, transcripts
from benchmarks.differential.report import report, unused_explanations
from benchmarks.differential.table import Program, load
from benchmarks.differential.transcript import LOGGERS, Transcript, describe_error, without_incidentals
from benchmarks.peers import ROOT, Interpreter
from easynetwork.exceptions import DeserializeError, IncrementalDeserializeError

QUICK = "protocols/json-in-a-buffer"


def program(*loops: str, **explained: str) -> Program:
    return Program("subject/name", lambda _: None, loops, explained)


def compared(released: list[str], ours: list[str], made: Program | None = None) -> Comparison:
    made = made or program()
    (comparison,) = compare(made, {(made.name, ""): released}, {(made.name, ""): ours})
    return comparison


def fake(folder: Path, script: str) -> Interpreter:
    """A peer that runs *script* in place of any program."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return Interpreter(str(python), {}, {})


def test_equal_transcripts_are_the_same() -> None:
    assert compared(["a: 1", "b: 2"], ["a: 1", "b: 2"]).verdict is Verdict.SAME


def test_differing_lines_are_listed_with_the_release_first() -> None:
    comparison = compared(["a: 1", "b: 2", "c: 3"], ["a: 1", "b: 5", "c: 3"])
    assert comparison.verdict is Verdict.DIFFERS
    assert [(d.sign, d.line) for d in comparison.differences] == [("-", "b: 2"), ("+", "b: 5")]


def test_a_difference_with_a_reason_is_explained() -> None:
    assert compared(["b: 2"], ["b: 5"], program(b="why")).verdict is Verdict.EXPLAINED


def test_one_reason_does_not_explain_the_other_lines() -> None:
    comparison = compared(["a: 1", "b: 2"], ["a: 0", "b: 5"], program(b="why"))
    assert comparison.verdict is Verdict.DIFFERS
    assert [d.reason for d in comparison.differences] == [None, "why", None, "why"]


def test_a_reason_may_be_for_one_loop() -> None:
    made = Program("subject/name", lambda _: None, ("asyncio", "trio"), {"trio/b": "why"})
    released = {(made.name, loop): ["b: 1"] for loop in made.loops}
    ours = {(made.name, loop): ["b: 2"] for loop in made.loops}
    assert [c.verdict for c in compare(made, released, ours)] == [Verdict.DIFFERS, Verdict.EXPLAINED]


def test_explanations_that_explain_nothing_are_reported() -> None:
    comparison = compared(["a: 1"], ["a: 1"], program(b="why"))
    assert list(unused_explanations([comparison])) == [("subject/name", "b")]
    assert "the explanation is not needed" in report([comparison])


def test_report_takes_loops_together_that_differ_alike() -> None:
    made = program("asyncio", "trio")
    released = {(made.name, loop): ["b: 1"] for loop in made.loops}
    ours = {(made.name, loop): ["b: 2"] for loop in made.loops}
    text = report(compare(made, released, ours))
    assert "subject/name [asyncio, trio]" in text
    assert text.count("- b: 1") == 1
    assert text.splitlines()[-1] == "1 programs, 2 runs: 0 same, 0 explained, 2 differs"


def test_a_program_is_run_by_both(interpreter: Interpreter, tmp_path: Path) -> None:
    line = json.dumps({"program": QUICK, "loop": "", "lines": ["json: raises TypeError"]})
    (comparison,) = compare_all([load()[QUICK]], fake(tmp_path, f"echo '{line}'"), interpreter)
    assert [(d.sign, d.line) for d in comparison.differences] == [
        ("-", "json: raises TypeError"),
        ("+", "json: BufferedStreamProtocol"),
    ]
    assert comparison.verdict is Verdict.EXPLAINED


def test_a_process_that_dies_is_a_difference(tmp_path: Path) -> None:
    found = transcripts(load()[QUICK], fake(tmp_path, "echo 'last words' >&2; exit 3"))
    assert found == {(QUICK, ""): ["(the process): ended with status 3: last words"]}


def test_each_loop_has_a_transcript_of_its_own(interpreter: Interpreter) -> None:
    made = load()["backends/names"]
    found = transcripts(made, interpreter)
    assert {loop for _, loop in found} == set(made.loops)
    assert len({tuple(lines) for lines in found.values()}) == 1


def test_status_is_1_exactly_if_a_difference_is_not_explained(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare_behaviour, "our_interpreter", lambda python: interpreter)
    monkeypatch.setattr(compare_behaviour, "peer_interpreter", lambda *_: fake(tmp_path, "exit 3"))
    assert compare_behaviour.main(["--only", QUICK]) == 1
    monkeypatch.setattr(compare_behaviour, "peer_interpreter", lambda *_: interpreter)
    assert compare_behaviour.main(["--only", QUICK]) == 0
    assert compare_behaviour.main(["--only", "nothing/*"]) == 2
    assert "no program is called nothing/*" in capsys.readouterr().err


def test_errors_are_described_without_their_texts() -> None:
    error = IncrementalDeserializeError("text", b"rest", {"data": 1})
    error.add_note("note")
    error.__cause__ = ExceptionGroup("group", [KeyError("text"), BrokenPipeError(32, "text")])
    assert describe_error(error) == (
        "IncrementalDeserializeError error_info={'data': 1} remaining_data=b'rest' +1 note"
        " <- ExceptionGroup(KeyError, BrokenPipeError[EPIPE])"
    )


def test_a_cause_that_only_adds_words_is_left_out() -> None:
    error, cause = OSError(98, "of the library"), OSError(98, "of the system")
    error.__cause__ = cause
    assert describe_error(error) == "OSError[EADDRINUSE]"
    cause.__cause__ = DeserializeError("another class")
    assert describe_error(error) == "OSError[EADDRINUSE] <- DeserializeError error_info=None"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("('127.0.0.1', 54321)", "('127.0.0.1', <port>)"),
        ("IPv4SocketAddress(host='127.0.0.1', port=54321)", "IPv4SocketAddress(host='127.0.0.1', port=<port>)"),
        ("/tmp/differential-abc/server", "<folder>/server"),
        ("<object at 0x7f0011223344>", "<object at 0x...>"),
        ("127.0.0.1, 80", "127.0.0.1, 80"),
    ],
)
def test_what_differs_from_run_to_run_is_replaced(text: str, expected: str) -> None:
    assert without_incidentals(text) == expected


def test_transcripts_hold_log_records_and_warnings() -> None:
    before = [(logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)]
    transcript = Transcript()
    with transcript.listening():
        logging.getLogger("easynetwork.something").error("text", exc_info=KeyError())
        logging.getLogger("easynetwork.something").info("not shown")
        warnings.warn("text", ResourceWarning, stacklevel=1)
        transcript.logs()
        transcript.warned()
    assert transcript.lines == ["log: ERROR easynetwork.something with KeyError", "warnings: ['ResourceWarning']"]
    assert [(logger.level, logger.propagate) for logger in map(logging.getLogger, LOGGERS)] == before


def test_each_explanation_is_a_row_of_the_page_on_migration() -> None:
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "docs" / "coming-from" / "easynetwork.md").read_text(), re.MULTILINE)
    reasons = {reason for made in load().values() for reason in made.explained.values()}
    assert reasons <= set(rows), reasons - set(rows)


def test_every_public_class_is_in_a_program() -> None:
    folder = ROOT / "benchmarks" / "differential"
    text = "".join(path.read_text() for path in [*folder.glob("programs/*.py"), folder / "kit.py"])
    used = set(re.findall(r"\w+", text))
    assert _public_classes() <= used, _public_classes() - used


# Ours alone, or nothing but a type.
_NOT_COMPARED = {
    "ChecksumSerializer",
    "ServerCollector",
    "ServerLimits",
    "ServerStatistics",
    "CobsFrames",
    "CountedBodyFrames",
    "CutFrames",
    "DrainReport",
    "EasyNetworkWarning",
    "FixedSizeFrames",
    "FramedPacketSerializer",
    "FramedSerializer",
    "FrameFormat",
    "LengthPrefixedFrames",
    "LZ4CompressorSerializer",
    "ManualBufferAllocationWarning",
    "MsgspecJSONSerializer",
    "MsgspecMessagePackSerializer",
    "NetstringFrames",
    "OctetCountedFrames",
    "ProtobufSerializer",
    "ProxyAttribute",
    "ProxyProtocol",
    "RawSerializer",
    "SeparatedFrames",
    "SlipFrames",
    "VarintFrames",
    "WriteBatch",
    "ZstdCompressorSerializer",
}


def _public_classes() -> set[str]:
    names: set[str] = set()
    for found in pkgutil.walk_packages(easynetwork.__path__, "easynetwork."):
        if any(part.startswith("_") or part == "cli" for part in found.name.split(".")):
            continue
        if found.name == "easynetwork.exceptions":
            continue  # a program goes through all of them
        module = importlib.import_module(found.name)
        names |= {
            name
            for name in getattr(module, "__all__", ())
            if inspect.isclass(getattr(module, name)) and not name.startswith("_")
        }
    return names - _NOT_COMPARED


@pytest.mark.skipif(sys.platform != "linux", reason="the programs are for Linux")
def test_there_are_enough_programs() -> None:
    assert len(load()) >= 90
