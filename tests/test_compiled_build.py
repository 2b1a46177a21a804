"""The compiled module: it is built where it can be, never required, and not used if it is old or switched off."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.support.building import files_below, run, unpack

from easynetwork import __version__, _acceleration

COMPILED = f"easynetwork-uvloop {__version__} (compiled)\n"
PURE_PYTHON = f"easynetwork-uvloop {__version__} (pure Python)\n"
MODULE = f"easynetwork/_compiled{sysconfig.get_config_var('EXT_SUFFIX')}"
NO_COMPILER = {"CC": "/bin/false"}


def why_not_compiled() -> str:
    """Return why this machine cannot compile the module, or an empty string."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the compiled module does not support this Python"
    if shutil.which(shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))[0]) is None:
        return "there is no C compiler"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "there is no Python.h"
    return ""


needs_compiler = pytest.mark.skipif(bool(why_not_compiled()), reason=why_not_compiled())


@pytest.fixture(autouse=True, scope="module")
def _unset_variables() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("EASYNETWORK_PURE_PYTHON", "EASYNETWORK_REQUIRE_COMPILED", "PYTHONPATH"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with what a build needs, and without what the library needs."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    # hatchling asks for editables when it builds for an editable install.
    run(*pip_install(folder / "bin" / "python"), *requirements, "editables", cwd=folder)
    return folder / "bin" / "python"


def pip_install(python: Path) -> list[str | Path]:
    return [sys.executable, "-m", "pip", "--python", python, "install", "-q"]


@pytest.fixture(scope="module")
def source(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked. Tests that change it make a copy."""
    folder = tmp_path_factory.mktemp("source")
    run(python, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    [archive] = folder.glob("*.tar.gz")
    return unpack(archive, folder)


def build_wheel(python: Path, source: Path, folder: Path, **environment: str) -> Path:
    run(python, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source, **environment)
    [wheel] = folder.glob("*.whl")
    return wheel


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def version_of(python: Path, folder: Path, **environment: str) -> str:
    """Return what ``easynetwork --version`` prints. A warning is an error."""
    return run(python, "-W", "error", "-m", "easynetwork", "--version", cwd=folder, **environment)


@pytest.mark.skipif(
    os.environ.get("EASYNETWORK_REQUIRE_COMPILED", "0") == "0" or os.environ.get("EASYNETWORK_PURE_PYTHON", "0") != "0",
    reason="the compiled module is not required",
)
def test_the_tests_run_with_the_module_where_it_is_required() -> None:
    assert _acceleration.IS_COMPILED


@needs_compiler
def test_an_installed_wheel_runs_compiled_unless_switched_off(python: Path, source: Path, tmp_path: Path) -> None:
    before = set(files_below(source))
    wheel = build_wheel(python, source, tmp_path)
    assert set(files_below(source)) == before
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name == f"easynetwork_uvloop-{__version__}-{version}-{version}-{platform}.whl"
    assert [name for name in files_in(wheel) if name.endswith((".so", ".c"))] == [MODULE]

    venv.create(tmp_path / "venv")
    installed = tmp_path / "venv" / "bin" / "python"
    run(*pip_install(installed), "--no-deps", wheel, cwd=tmp_path)
    assert version_of(installed, tmp_path) == COMPILED
    for value in ("", "0"):
        assert version_of(installed, tmp_path, EASYNETWORK_PURE_PYTHON=value) == COMPILED
    for value in ("1", "yes"):
        assert version_of(installed, tmp_path, EASYNETWORK_PURE_PYTHON=value) == PURE_PYTHON


def test_without_a_compiler_the_wheel_is_pure_python(python: Path, source: Path, tmp_path: Path) -> None:
    command = [str(python), "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    result = subprocess.run(
        command, cwd=source, env={**os.environ, **NO_COMPILER}, capture_output=True, text=True, check=True
    )
    warning, path = result.stderr.splitlines()
    assert warning.startswith("easynetwork-uvloop is built without easynetwork._compiled, as pure Python: ")
    wheel = tmp_path / f"easynetwork_uvloop-{__version__}-py3-none-any.whl"
    assert path == str(wheel)
    assert not any(name.endswith(".so") for name in files_in(wheel))
    assert version_of(python, tmp_path, PYTHONPATH=str(wheel)) == PURE_PYTHON


def test_a_build_can_require_the_compiled_module(python: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"RuntimeError: cannot compile easynetwork\._compiled: "):
        build_wheel(python, source, tmp_path, EASYNETWORK_REQUIRE_COMPILED="1", **NO_COMPILER)


def test_a_build_can_leave_the_compiled_module_out(python: Path, source: Path, tmp_path: Path) -> None:
    variables = {"EASYNETWORK_PURE_PYTHON": "1", "EASYNETWORK_REQUIRE_COMPILED": "1"}  # the first one wins
    wheel = build_wheel(python, source, tmp_path, **variables, **NO_COMPILER)
    assert wheel.name.endswith("-py3-none-any.whl")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("sys.implementation.name = 'pypy'", "it is compiled for CPython only, not for pypy"),
        (
            "sysconfig.get_config_vars()['Py_GIL_DISABLED'] = 1",
            "it does not support the free-threaded build of CPython",
        ),
        ("sys.platform = 'win32'", "it is compiled on Linux and macOS only, not on win32"),
    ],
)
def test_it_is_not_compiled_where_it_is_not_supported(
    change: str, reason: str, python: Path, source: Path, tmp_path: Path
) -> None:
    # The variables are read before the change: on another platform, sysconfig would look for the file of that one.
    program = (
        "import hatch_build, sys, sysconfig; sysconfig.get_config_vars(); "
        f"{change}; print(hatch_build.why_unsupported())"
    )
    assert run(python, "-c", program, cwd=tmp_path, PYTHONPATH=str(source)) == f"{reason}\n"


@needs_compiler
def test_an_editable_install_does_not_use_a_module_older_than_its_source(
    python: Path, source: Path, tmp_path: Path
) -> None:
    checkout = shutil.copytree(source, tmp_path / "checkout")
    install: list[str | Path] = [*pip_install(python), "--no-deps", "--no-build-isolation", "-e", str(checkout)]
    run(*install, cwd=tmp_path)
    module = checkout / "src" / MODULE
    assert module.exists()
    assert version_of(python, tmp_path) == COMPILED

    code = checkout / "src" / "easynetwork" / "_compiled.pyx"
    code.write_text(code.read_text() + "\n")
    assert "was compiled from another version of its source: easynetwork runs" in warning_of(python, tmp_path)

    run(*install, cwd=tmp_path)
    assert version_of(python, tmp_path) == COMPILED

    run(*install, cwd=tmp_path, EASYNETWORK_PURE_PYTHON="1")
    assert not module.exists()


def test_a_module_that_cannot_be_imported_is_not_used(python: Path, source: Path, tmp_path: Path) -> None:
    shutil.copytree(source / "src", tmp_path, dirs_exist_ok=True)
    (tmp_path / MODULE).write_bytes(b"not a library")
    assert "cannot be imported (ImportError: " in warning_of(python, tmp_path)


def warning_of(python: Path, folder: Path) -> str:
    """Return the one warning of a program that nevertheless runs as pure Python."""
    program = """if True:
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            from easynetwork import _acceleration
        assert _acceleration.compiled is None and not _acceleration.IS_COMPILED
        [warning] = caught
        assert warning.category is RuntimeWarning
        print(warning.message)
    """
    return run(python, "-c", program, cwd=folder)


def test_an_import_in_a_running_event_loop_leaves_nothing_there(tmp_path: Path) -> None:
    """The compiled module makes asynchronous generators when it is imported, to learn how they are made."""
    program = """
import gc, sys
seen = []
sys.set_asyncgen_hooks(seen.append, seen.append)  # as a running event loop does
import easynetwork.servers
gc.collect()
print(seen)
"""
    assert run(Path(sys.executable), "-X", "dev", "-W", "error", "-c", program, cwd=tmp_path) == "[]\n"
