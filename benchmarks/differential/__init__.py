"""Small programs that run with this library and with the EasyNetwork release, to compare their behaviour."""

from __future__ import annotations
