"""What of the machine this process may use."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

KEPT = 256 << 20
"""Bytes of free memory that stay with the process. A step of training frees and takes some 50 MB."""
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
_PARENT_DEATH_SIGNAL = 1  # of prctl(2)
_MOST_MMAP_THRESHOLD = 32 << 20
"""The most that the C library takes; below it memory comes from what is kept."""


def cores() -> int:
    """Processors that this process may run on: fewer than there are where it is bound to some, as in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Let this process keep some of the memory that it frees (the C library of GNU/Linux; elsewhere nothing).

    It would be given back and asked for again, page by page, with every layer: with AMX a tenth of the time.
    Where the environment says how memory is to be managed, that stands.
    """
    library = _library()
    if library is not None:
        for name, value in ((_MMAP_THRESHOLD, _MOST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, KEPT), (_TOP_PAD, KEPT // 4)):
            library.mallopt(name, value)


def end_with_parent() -> None:
    """Let the system end this process once the one that started it is gone, however that ended (Linux; else nothing).

    A process that waits to hand something over would wait for ever.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


class Growth:
    """Of this process, since memory was last given back: what is kept lies between what is used, and adds up."""

    def __init__(self) -> None:
        self._library = _library()
        self._before = _resident() if self._library else 0

    def check(self) -> None:
        """Between two batches: give all back that is free, where the process has grown by more than `KEPT`."""
        if self._library and _resident() - self._before > KEPT:
            self._library.malloc_trim(0)
            self._before = _resident()


def _library() -> ctypes.CDLL | None:
    """The C library, if it can be told, and the environment has not done so."""
    if sys.platform != "linux" or any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None  # others have none


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
