"""What is built and put on a package index: nothing is missing in it, and it works where nothing else is installed."""

from __future__ import annotations

import email
import re
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, marked_blocks
from tests.support.building import files_below, run, unpack


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and with the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture
def wheel(distributions: Path) -> Path:
    [wheel] = distributions.glob("*.whl")
    return wheel


@pytest.fixture
def unpacked(distributions: Path, tmp_path: Path) -> Path:
    """The source distribution, unpacked."""
    [archive] = distributions.glob("*.tar.gz")
    return unpack(archive, tmp_path)


def sources_below(folder: Path) -> set[str]:
    """Return the relative paths of all files but the compiled modules, which an editable install puts there."""
    return {name for name in files_below(folder) if not name.endswith(".so")}


def test_the_wheel_contains_the_whole_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.removeprefix("easynetwork/") for name in archive.namelist() if name.startswith("easynetwork/")}
    assert {name for name in names if not name.endswith(".so")} == sources_below(ROOT / "src" / "easynetwork")
    assert "py.typed" in names


@pytest.mark.parametrize("folder", ["src", "tests", "docs", "benchmarks"])
def test_the_source_distribution_contains_whole_folders(unpacked: Path, folder: str) -> None:
    ours = {name for name in sources_below(ROOT / folder) if not name.startswith("_build/")}
    assert set(files_below(unpacked / folder)) == ours


def test_a_wheel_in_an_empty_environment_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    run(programs / "pip", "install", "-q", f"{wheel}[cli]", cwd=tmp_path)
    assert "all 5,000 packets were answered once" in run(
        programs / "easynetwork", "demo", "--packets", "5000", cwd=tmp_path
    )
    extras = email.message_from_string(metadata_of(wheel)).get_all("Provides-Extra", [])
    run(programs / "pip", "install", "-q", "--dry-run", f"{wheel}[{','.join(extras)}]", cwd=tmp_path)


def test_all_links_of_the_readme_work_on_a_package_index(wheel: Path) -> None:
    text = str(email.message_from_string(metadata_of(wheel)).get_payload())
    links = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", text)
    assert len(links) > 20
    assert all(link.startswith("https://") or picture.startswith("https://") for link, picture in links)


def metadata_of(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name).decode()


def test_the_first_command_of_the_readme_works_in_the_source_distribution(unpacked: Path) -> None:
    command = marked_blocks(unpacked / "README.md", "command")["demo"].replace("python3 ", f"{sys.executable} ", 1)
    assert "packets were answered once" in run("bash", "-c", command, cwd=unpacked)
