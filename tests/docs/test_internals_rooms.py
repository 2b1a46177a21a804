"""The folders of the library are as the page about internals describes them, and import only what it allows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "explanation" / "internals.md").read_text()
SOURCE = ROOT / "src" / "easynetwork"
FILES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))


def _table_of_rooms() -> dict[str, set[str]]:
    """Return what each folder may import."""
    table = PAGE.partition("<!-- rooms -->")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \|.*\|([^|]*)\|$", table, re.MULTILINE)
    return {folder.rstrip("/"): {name.rstrip("/") for name in re.findall(r"`([^`]+)`", cell)} for folder, cell in rows}


ROOMS = _table_of_rooms()
UPWARDS = set(re.findall(r"^- `([^`]+)`", PAGE.partition("<!-- upwards -->")[2].partition("\n\n")[0], re.MULTILINE))


def room_of(file: Path) -> str:
    """Return the innermost folder in the table that contains *file*."""
    return next(folder for parent in file.parents if (folder := parent.as_posix()) in ROOMS)


def imports_of(file: Path) -> Iterator[str]:
    """Yield the names of the modules that *file* imports at run time, and of what it takes from them."""
    package = ["easynetwork", *file.parts[:-1]]
    nodes: list[ast.AST] = [ast.parse((SOURCE / file).read_text())]
    while nodes:
        match node := nodes.pop():
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                nodes.extend(node.orelse)
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                origin = package[: len(package) + 1 - node.level] if node.level else []
                module = ".".join([*origin, *([node.module] if node.module else [])])
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case _:
                nodes.extend(ast.iter_child_nodes(node))


def imported_files(file: Path) -> Iterator[Path]:
    """Yield the files of the package that *file* imports."""
    for name in imports_of(file):
        parts = name.split(".")
        if parts[0] != "easynetwork":
            continue
        path = Path(*parts[1:])
        while not (SOURCE / path).is_dir() and not (SOURCE / path.with_suffix(".py")).exists():
            path = path.parent  # it ends with a name from a module
        yield path / "__init__.py" if (SOURCE / path).is_dir() else path.with_suffix(".py")


def imports_against_the_table(file: Path) -> set[str]:
    room = room_of(file)
    imported = {room_of(other) for other in imported_files(file)}
    return imported - ROOMS[room] - {room}


def test_every_folder_that_the_page_names_exists() -> None:
    assert all((SOURCE / folder).is_dir() for folder in ROOMS)
    assert set().union(*ROOMS.values()) <= set(ROOMS)


def test_every_folder_at_the_top_and_in_the_two_interfaces_is_in_the_table() -> None:
    folders = {path.parent.as_posix() for path in FILES}
    at_the_top = {folder for folder in folders if folder.count("/") <= 1 and not folder.startswith(("cli/", "serial"))}
    assert at_the_top <= set(ROOMS)


@pytest.mark.parametrize("file", FILES, ids=Path.as_posix)
def test_modules_import_only_what_the_table_allows(file: Path) -> None:
    if file.as_posix() not in UPWARDS:
        assert imports_against_the_table(file) == set()


@pytest.mark.parametrize("name", sorted(UPWARDS))
def test_exceptions_are_needed(name: str) -> None:
    assert imports_against_the_table(Path(name)) != set()


def test_the_table_allows_nothing_that_no_module_needs() -> None:
    for room, allowed in ROOMS.items():
        needed = {room_of(other) for file in FILES if room_of(file) == room for other in imported_files(file)}
        assert allowed <= needed, room


def test_imports_go_downwards() -> None:
    # The modules directly in a folder and those below it lean on each other: they are one level.
    order = {room: level for level, room in enumerate(ROOMS)}
    against = {(room, other) for room in ROOMS for other in ROOMS[room] if order[other] < order[room]}
    assert against == {("lowlevel", "lowlevel/_core"), ("lowlevel", "lowlevel/_sockets"), (".", "serializers")}


@pytest.mark.parametrize(
    ("module", "folders"),
    [
        ("asyncio", {"cli", "lowlevel/api_async/backend/_asyncio"}),
        ("uvloop", {"cli", "lowlevel/api_async/backend/_asyncio"}),
        ("trio", {"lowlevel/api_async/backend/_trio"}),
    ],
)
def test_event_loops_are_imported_in_their_folders_only(module: str, folders: set[str]) -> None:
    importing = {file for file in FILES for name in imports_of(file) if name.partition(".")[0] == module}
    assert {room_of(file) for file in importing} == folders


@pytest.mark.parametrize("room", ["serializers", "lowlevel/_core"])
def test_no_io_in(room: str) -> None:
    imported = {name.partition(".")[0] for file in FILES if room_of(file) == room for name in imports_of(file)}
    assert not imported & {"asyncio", "select", "selectors", "socket", "subprocess", "threading", "trio", "uvloop"}
