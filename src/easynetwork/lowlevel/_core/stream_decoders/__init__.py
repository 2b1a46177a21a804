"""Decoders: the bytes of one stream in, packets out."""
