"""Read before ``tests/conftest.py``, which imports helpers."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests")  # helpers assert under ``python -O``, and with pytest's messages
