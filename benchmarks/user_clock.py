"""The user CPU time of a program: how much of its CPU time it spends outside of the kernel.

A kernel with CONFIG_TICK_CPU_ACCOUNTING divides a process's exact CPU time by what it finds at its ticks, often 4 ms
apart. In a window of 0.4 s this gives 100 samples, and an error of a quarter for a program that spends a sixth of its
time outside of the kernel. So take samples more often: perf_event_open(2) with the kernel's own CPU clock.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.process import ProgramProcess

__all__ = ["user_clock"]

_SYSCALLS = {"x86_64": 298, "aarch64": 241}  # the number of perf_event_open(2)

# struct perf_event_attr: the fields that are not zero, with their offsets.
_ATTRIBUTE_SIZE = 128
_TYPE_SOFTWARE, _CPU_CLOCK = 1, 0
_SAMPLE_IP = 1  # record the instruction pointer, because a sample must have some content
_EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 5, 1 << 6
_SAMPLE_SIZE = 16  # bytes: a header and the instruction pointer
_DATA_HEAD = 1024  # offset in struct perf_event_mmap_page: the bytes written so far


@contextmanager
def user_clock(process: ProgramProcess, rate: int) -> Iterator[Callable[[], float]]:
    """Yield a function that returns the user CPU seconds of the main thread, from *rate* samples per CPU second.

    If the system does not allow it, the function returns the kernel's own estimate for the process.
    """
    try:
        event = _open(process.pid, rate)
    except OSError:
        yield process.user_seconds
        return
    try:
        # The map is read-only, so the kernel overwrites old samples. Their number is all that is needed.
        with mmap.mmap(event, 2 * mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ) as samples:
            yield lambda: float(struct.unpack_from("Q", samples, _DATA_HEAD)[0] / _SAMPLE_SIZE / rate)
    finally:
        os.close(event)


def _open(pid: int, rate: int) -> int:
    """Return the descriptor of an event that writes a sample whenever its timer finds *pid* outside of the kernel."""
    if platform.machine() not in _SYSCALLS:
        raise OSError(f"perf_event_open is not known on {platform.machine()}")
    attributes = bytearray(_ATTRIBUTE_SIZE)
    struct.pack_into("IIQQQ", attributes, 0, _TYPE_SOFTWARE, _ATTRIBUTE_SIZE, _CPU_CLOCK, 10**9 // rate, _SAMPLE_IP)
    struct.pack_into("Q", attributes, 40, _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR)
    library = ctypes.CDLL(None, use_errno=True)
    any_core, no_group, no_flags = -1, -1, 0
    buffer = (ctypes.c_char * _ATTRIBUTE_SIZE).from_buffer(attributes)
    event: int = library.syscall(_SYSCALLS[platform.machine()], buffer, pid, any_core, no_group, no_flags)
    if event < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return event
