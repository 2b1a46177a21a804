"""The sans-I/O core: bytes, packets, handlers and TLS records. It imports no socket and no event loop."""
