"""Small programs that both this library and the EasyNetwork release run, to compare what they do."""

from __future__ import annotations
