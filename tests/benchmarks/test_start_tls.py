from __future__ import annotations

import pytest

from benchmarks.start_tls import main


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_command_prints_a_table(loop: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--seconds", "0.15", "--loop", loop]) == 0
    assert "| 16 in flight, 128 bytes |" in capsys.readouterr().out
