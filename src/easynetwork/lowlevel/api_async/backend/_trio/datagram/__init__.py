"""Datagrams on trio."""
