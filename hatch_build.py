"""The build hook of hatchling: compile `easynetwork._compiled`, or leave it out.

A wheel contains the compiled module. Where it cannot be compiled, the wheel is pure Python, after one line of warning.
An editable install puts the module beside its source. Two environment variables change this, if they are set to
anything but 0:

EASYNETWORK_PURE_PYTHON       do not compile
EASYNETWORK_REQUIRE_COMPILED  fail where the module cannot be compiled; without effect beside the other variable
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "easynetwork._compiled"
SOURCE = "src/easynetwork/_compiled.pyx"
COMPILER_ARGUMENTS = [
    "-O3",
    "-fno-strict-aliasing",  # Cython casts between structs, as CPython does
    "-g0",  # the flags of CPython include -g, which makes the module several times larger
]


class CompileHook(BuildHookInterface[Any]):
    """Compile the module for a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the module before hatchling collects the files of the wheel."""
        self._folder = tempfile.TemporaryDirectory(prefix="easynetwork-build-")  # if the build fails, it removes itself
        compiled = None if is_set("EASYNETWORK_PURE_PYTHON") else self._compile(Path(self._folder.name).resolve())
        if version == "editable":
            beside_source = Path(self.root, SOURCE).with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
            beside_source.unlink(missing_ok=True)  # never write into a file that a running process has mapped
            if compiled is not None:
                shutil.copyfile(compiled, beside_source)
        elif compiled is not None:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"][str(compiled)] = f"easynetwork/{compiled.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the compiled module, which is in the wheel now."""
        self._folder.cleanup()

    def _compile(self, folder: Path) -> Path | None:
        problem = why_unsupported()
        cause = None
        if problem is None:
            try:
                return compile_module(Path(self.root, SOURCE), folder)
            except Exception as error:  # Cython, setuptools and the compiler each have exceptions of their own
                problem = why_failed(error)
                cause = error
        if is_set("EASYNETWORK_REQUIRE_COMPILED"):
            raise RuntimeError(f"cannot compile {MODULE}: {problem}") from cause
        self.app.display_warning(f"easynetwork-uvloop is built without {MODULE}, as pure Python: {problem}")
        return None


def is_set(variable: str) -> bool:
    return os.environ.get(variable, "0") not in ("", "0")


def why_unsupported() -> str | None:
    """Return why the module is not compiled for this Python, or None if it is."""
    if sys.implementation.name != "cpython":
        return f"it is compiled for CPython only, not for {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it does not support the free-threaded build of CPython"
    if sys.platform not in ("linux", "darwin"):
        return f"it is compiled on Linux and macOS only, not on {sys.platform}"
    return None


def why_failed(error: Exception) -> str:
    """Return in one line why the compilation has failed with *error*."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"{header} is missing; on Debian, the package python3-dev contains it"
    return " ".join(f"{type(error).__name__}: {error}".split())


def compile_module(source: Path, folder: Path) -> Path:
    """Compile *source* in the empty *folder*, and return the path of the compiled module."""
    from Cython.Build import cythonize  # late: a pure Python build needs neither
    from setuptools import Distribution, Extension

    code = source.read_bytes()
    # Tracebacks show this relative path. The module traceback finds the lines of the source by it, below sys.path.
    copy = Path(*MODULE.split(".")).with_suffix(".pyx")
    (folder / copy).parent.mkdir(parents=True)
    (folder / copy).write_bytes(code)
    extension = Extension(
        MODULE,
        [str(copy)],
        # easynetwork._acceleration compares this digest with that of the source.
        define_macros=[("SOURCE_DIGEST", f'"{importlib.util.source_hash(code).hex()}"')],
        extra_compile_args=COMPILER_ARGUMENTS,
    )
    with contextlib.chdir(folder):
        command = Distribution({"ext_modules": cythonize(extension, quiet=True)}).get_command_obj("build_ext")
        command.build_lib = "lib"
        command.build_temp = "temp"
        command.ensure_finalized()
        command.run()
        return folder / command.get_ext_fullpath(MODULE)
