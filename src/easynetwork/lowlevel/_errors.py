"""Errors made from an errno."""

from __future__ import annotations

__all__ = ["error_from_errno"]

import os


def error_from_errno(code: int, details: str = "") -> OSError:
    """Returns the `OSError` for *code*, of the subclass that Python has for it (:pep:`3151`)."""
    text = os.strerror(code)
    return OSError(code, f"{text} ({details})" if details else text)
