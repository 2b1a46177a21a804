"""``python -m easynetwork``."""

from __future__ import annotations

import sys

from easynetwork.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
