"""What the page about internals says about the code is true: the functions it names, and the ways of a packet."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from types import ModuleType

import pytest
from tests.docs.packet_paths import PATHS, files_of
from tests.docs.pages import DOCS, ROOT

from easynetwork.lowlevel._core import requirements

PAGE = (DOCS / "explanation" / "internals.md").read_text()
SOURCE = ROOT / "src" / "easynetwork"

_FUNCTION = re.compile(r"`([\w/]+\.py:[\w.]+)`")
_MODULE = re.compile(r"`([\w/]+\.py)`")
_PATH = re.compile(r"^<!-- path: ([^\n]+) -->\n(.*?)(?=^#|^<!--|\Z)", re.MULTILINE | re.DOTALL)

FUNCTIONS = sorted(set(_FUNCTION.findall(PAGE)))
SECTIONS: dict[str, str] = dict(_PATH.findall(PAGE))


@functools.cache
def _traced() -> dict[tuple[str, str], list[str]]:
    command = [sys.executable, "-m", "tests.docs.packet_paths", "--json"]
    environment = os.environ | {"EASYNETWORK_PURE_PYTHON": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {(name, loop): path for name, loop, path in map(json.loads, done.stdout.splitlines())}


def traced(name: str, loop: str = "asyncio") -> list[str]:
    """Return the functions that a packet enters."""
    return _traced()[name, loop]


def hops(name: str) -> list[str]:
    """Return the functions in the page's description of a way."""
    return _FUNCTION.findall(SECTIONS[name])


def module_of(file: str) -> ModuleType:
    return importlib.import_module(".".join(["easynetwork", *file.removesuffix(".py").split("/")]))


# --------------------------------------------------------------------------------------------------- what there is


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_that_the_page_names_is_defined_in_that_file(name: str) -> None:
    file, _, qualified_name = name.partition(":")
    found: object = module_of(file)
    for part in qualified_name.split("."):
        found = inspect.getattr_static(found, part)
    function = inspect.unwrap(getattr(found, "fget", None) or getattr(found, "__func__", found))  # type: ignore[arg-type]
    assert inspect.getsourcefile(function) == str(SOURCE / file)
    assert function.__qualname__ == qualified_name


@pytest.mark.parametrize("file", sorted(set(_MODULE.findall(PAGE))))
def test_every_file_that_the_page_names_exists(file: str) -> None:
    assert (SOURCE / file).exists() or (ROOT / file).exists()


def test_the_page_lists_all_requirements_of_dispatchers() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted({*requirements.__all__} - {"NO_MORE", "STEPS_PER_TURN", "TURN_TIME"})


# ----------------------------------------------------------------------------------------------- the ways of a packet


def test_the_page_describes_all_ways_that_are_traced() -> None:
    assert set(SECTIONS) == set(PATHS)


def test_the_table_of_a_request_over_tcp_has_the_functions_that_a_packet_enters() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", SECTIONS["tcp"], re.MULTILINE)
    assert rows == traced("tcp")


def test_one_generator_per_request_adds_the_functions_that_the_page_lists() -> None:
    looping = traced("tcp")
    path = traced("tcp, one generator per request")
    added = [function for function in path if function not in looping]
    assert path == looping + added
    assert hops("tcp, one generator per request")[: len(added)] == added


@pytest.mark.parametrize("name", ["tls", "pulled", "datagram", "client"])
def test_other_ways_pass_the_functions_that_the_page_lists_in_this_order(name: str) -> None:
    listed = [function for function in hops(name) if function in traced(name)]
    assert listed == [function for function in traced(name) if function in listed]
    assert files_of(sorted(listed)) == files_of(sorted(traced(name)))


@pytest.mark.parametrize("name", ["tls", "pulled", "datagram", "client"])
def test_numbered_hops_are_functions_that_a_packet_enters(name: str) -> None:
    numbered = re.findall(r"^(?:\d+\.|  ) `([\w/]+\.py:[\w.]+)`", SECTIONS[name], re.MULTILINE)
    assert numbered
    assert set(numbered) <= set(traced(name))


@pytest.mark.parametrize("name", PATHS)
def test_the_page_tells_how_many_files_a_packet_passes(name: str) -> None:
    number = re.search(r"\b(\d+)\s+files\b", SECTIONS[name])
    assert number is not None
    assert int(number[1]) == len(files_of(traced(name)))


def test_uvloop_leaves_out_the_shared_buffer() -> None:
    path = traced("tcp", "uvloop")
    assert path == [function for function in traced("tcp") if "SharedBufferProtocol" not in function]
    number = re.search(r"\b(\d+) files on uvloop", PAGE)
    assert number is not None
    assert int(number[1]) == len(files_of(path))
