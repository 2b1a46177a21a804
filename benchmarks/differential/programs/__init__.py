"""The programs, with one module per subject. A program is a function with `@program` that uses only the public API."""

from __future__ import annotations
