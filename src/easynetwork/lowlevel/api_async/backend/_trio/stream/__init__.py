"""Byte streams on trio."""
