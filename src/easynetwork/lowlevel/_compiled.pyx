# cython: language_level=3
"""The compiled parts of the library. `easynetwork.lowlevel._acceleration` decides whether they are used."""

cdef extern from *:
    const char *SOURCE_DIGEST  # a macro that hatch_build.py defines

source_digest = SOURCE_DIGEST.decode()
