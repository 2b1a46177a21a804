"""Serializers: from packet to bytes and back. They know nothing of sockets."""

from __future__ import annotations

__all__ = ["JSONSerializer", "StringLineSerializer"]

from .json import JSONSerializer
from .line import StringLineSerializer
