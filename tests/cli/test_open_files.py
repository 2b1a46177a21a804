from __future__ import annotations

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

PROGRAM = """
import resource, sys
from easynetwork.cli.errors import CommandError
from easynetwork.cli.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 100))
try:
    allow_open_files(int(sys.argv[1]))
except CommandError as error:
    print(error.status, error)
else:
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("needed", "outcome"),
    [
        (50, "(50, 100)"),
        (80, "(80, 100)"),
        (101, "2 101 open files are needed, but this system allows at most 100"),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_the_system_permits(needed: int, outcome: str) -> None:
    output = subprocess.check_output([sys.executable, "-c", PROGRAM, str(needed)], text=True)
    assert output.strip() == outcome
