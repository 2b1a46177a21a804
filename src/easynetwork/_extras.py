"""What is said when an optional dependency is missing."""

from __future__ import annotations

__all__ = ["missing_extra"]


def missing_extra(module: str, *, extra: str) -> ModuleNotFoundError:
    """Returns the error to raise ``from`` the one that ``import module`` has raised."""
    error = ModuleNotFoundError(f"The module {module!r} is missing", name=module)
    error.add_note(f"It comes with the extra {extra!r}: pip install 'easynetwork-uvloop[{extra}]'")
    return error
