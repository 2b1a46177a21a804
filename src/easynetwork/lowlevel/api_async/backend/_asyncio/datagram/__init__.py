"""Datagrams: from the callbacks of the event loop to transports."""
