from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from easynetwork.cli import terminal

PROGRAM = """
from easynetwork.cli.terminal import print_table, progress
with progress(10, "packets") as update:
    for done in range(11):
        update(done)
print_table(["Name", "Size"], [["a", "1"]], text_columns=1)
"""


def output_on_a_terminal(environment: dict[str, str]) -> str:
    master, slave = os.openpty()
    output = bytearray()

    def read() -> None:
        try:
            while data := os.read(master, 1024):
                output.extend(data)
        except OSError:  # how Linux says that the last writer has gone
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
        subprocess.run([sys.executable, "-c", PROGRAM], stdout=slave, check=True, env=environment)
    finally:
        os.close(slave)
        reader.join()
        os.close(master)
    return output.decode()


def test_a_terminal_gets_a_live_bar_and_a_framed_table() -> None:
    output = output_on_a_terminal({})
    assert "10/10" in output
    assert "━" in output
    assert "│" in output


def test_a_dumb_terminal_gets_plain_text() -> None:
    assert output_on_a_terminal({"TERM": "dumb"}).splitlines() == ["Name  Size", "a        1"]


def test_a_terminal_gets_plain_text_where_rich_is_missing(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError('not installed')")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    assert output_on_a_terminal({"PYTHONPATH": paths}).splitlines() == ["Name  Size", "a        1"]


def test_progress_is_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "_SECONDS_BETWEEN_LINES", 0.0)
    with terminal.progress(4000, "packets") as update:
        update(1000)
        update(4000)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("  1,000 of 4,000 packets (25%), ")
    assert last.startswith("  4,000 of 4,000 packets (100%), ")
    assert last.endswith(" packets/s")


def test_progress_lines_do_not_come_faster_than_one_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.progress(4000, "packets") as update:
        update(1000)
        update(4000)
    assert not capsys.readouterr().out


def test_a_plain_table_is_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table(["Name", "Size"], [["a", "1,000"], ["long one", "2"]], text_columns=1)
    assert capsys.readouterr().out.splitlines() == ["Name       Size", "a         1,000", "long one      2"]
