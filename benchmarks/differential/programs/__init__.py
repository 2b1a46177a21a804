"""One module for each subject. A program is a function under `@program`, and uses only the public interface."""

from __future__ import annotations
