"""What not every platform has."""

from __future__ import annotations

__all__ = ["needs_abstract_names"]

import sys

import pytest

needs_abstract_names = pytest.mark.skipif(
    sys.platform != "linux", reason="abstract and automatic names of Unix sockets exist on Linux only"
)
