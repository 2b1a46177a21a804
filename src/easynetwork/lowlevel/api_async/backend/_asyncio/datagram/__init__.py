"""Datagrams: from readiness events to transports."""
