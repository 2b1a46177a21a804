"""Whether this process uses the compiled module of the library. The first import of this module decides it.

The process uses `easynetwork._compiled` if it is installed and can be imported, unless the environment
variable EASYNETWORK_PURE_PYTHON is set to anything but 0.
"""

from __future__ import annotations

__all__ = ["IS_COMPILED", "compiled", "describe", "faster", "with_shortcut"]

import importlib.util
import os
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, TypeVar

_T_Function = TypeVar("_T_Function", bound=Callable[..., Any])


def _load() -> ModuleType | None:
    """Return the compiled module, or None if this process runs as pure Python."""
    if os.environ.get("EASYNETWORK_PURE_PYTHON", "0") not in ("", "0"):
        return None
    try:
        import easynetwork._compiled as module
    except Exception as error:  # compiled from an old source, it may fail in any way
        if isinstance(error, ModuleNotFoundError) and error.name == "easynetwork._compiled":
            return None
        problem = f"cannot be imported ({type(error).__name__}: {error})"
    else:
        if _is_current(module.__file__, module.source_digest):
            return module
        problem = "was compiled from another version of its source"
    warnings.warn(
        f"easynetwork._compiled {problem}: easynetwork runs as pure Python. Install easynetwork-uvloop again; "
        "in a checkout: pip install -e .",
        RuntimeWarning,
        stacklevel=1,
    )
    return None


def _is_current(file: str, digest: str) -> bool:
    """Return whether the source beside the compiled module *file* has this *digest*. Without a source, return true."""
    try:
        with open(os.path.join(os.path.dirname(file), "_compiled.pyx"), "rb") as source:
            return importlib.util.source_hash(source.read()).hex() == digest  # as hatch_build.py computes it
    except OSError:
        return True


compiled: Final[ModuleType | None] = _load()
"""The compiled module, or None."""

IS_COMPILED: Final[bool] = compiled is not None
"""Whether this process uses the compiled module."""


def with_shortcut(function: _T_Function) -> _T_Function:
    """Decorate a function of which the compiled module has a shortcut. Where that is not used, this changes nothing."""
    return function if compiled is None else compiled.shortcut(function)


def faster(method: _T_Function) -> _T_Function:
    """Return a compiled function that does the same as *method*, which is bound to an object; *method* if none does."""
    return method if compiled is None else compiled.faster(method)


def describe() -> str:
    """Return ``"compiled"`` or ``"pure Python"``."""
    return "compiled" if IS_COMPILED else "pure Python"
