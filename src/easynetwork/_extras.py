"""Error for a missing optional dependency."""

from __future__ import annotations

__all__ = ["missing_extra"]


def missing_extra(module: str, *, extra: str) -> ModuleNotFoundError:
    """Return the error for a missing *module*. Raise it ``from`` the error of ``import module``."""
    error = ModuleNotFoundError(f"The module {module!r} is not installed", name=module)
    error.add_note(f"It is part of the extra {extra!r}: pip install 'easynetwork-uvloop[{extra}]'")
    return error
