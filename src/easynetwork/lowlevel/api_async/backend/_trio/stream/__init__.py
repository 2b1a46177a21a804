"""Byte streams."""
