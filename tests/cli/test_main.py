from __future__ import annotations

import os
import subprocess
import sys

import pytest

from easynetwork import __version__
from easynetwork._acceleration import describe
from easynetwork.cli import main


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "'frobnicate'"),
        (["--frobnicate"], "COMMAND"),
        (["demo", "--frobnicate"], "--frobnicate"),
        (["demo", "surplus"], "surplus"),
        (["demo", "--packet", "5"], "--packet"),
        (["demo", "--packets"], "--packets"),
        (["demo", "--packets", "0"], "'0'"),
        (["demo", "--packets", "many"], "'many'"),
        (["demo", "--packets", "1e3"], "'1e3'"),
        (["demo", "--packets", "10000001"], "10000000"),
        (["demo", "--connections", "-3"], "'-3'"),
        (["demo", "--connections", "20001"], "20000"),
        (["demo", "--in-flight", "0"], "--in-flight"),
        (["demo", "--payload", "0"], "--payload"),
        (["demo", "--payload", "2.5"], "'2.5'"),
        (["demo", "--loop", "trio"], "'trio'"),
        (["demo", "--transport", "http"], "'http' is not one of tcp"),
        (["demo", "--transport", "tcp,"], "'' is not one of tcp"),
        (["demo", "--client", "lazy"], "'lazy'"),
        (["demo", "a\nb"], "a b"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line_with_status_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    output, errors = capsys.readouterr()
    assert stopped.value.code == 2
    assert not output
    assert len(errors.splitlines()) == 1
    assert errors.startswith("easynetwork")
    assert complaint in errors


def test_a_loop_that_is_not_installed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not there
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "--loop", "uvloop"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "easynetwork demo: error: argument --loop: uvloop is not installed; asyncio is always available "
        "(see easynetwork demo --help)"
    ]


@pytest.mark.parametrize("command", [[], ["demo"]])
def test_help_tells_how_to_use_a_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: easynetwork", *command]))


def test_python_m_easynetwork_is_the_command() -> None:
    command = [sys.executable, "-m", "easynetwork", "--version"]
    assert subprocess.check_output(command, text=True) == f"easynetwork-uvloop {__version__} ({describe()})\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_any_more_ends_the_command_quietly(unbuffered: str) -> None:
    command = [sys.executable, "-m", "easynetwork", "--help"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert not process.stderr.read()
