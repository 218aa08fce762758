"""What the system is asked to do with memory. Layer: backends."""

from __future__ import annotations

import ctypes
import mmap
import sys
from functools import cache

__all__ = ["LARGE_PAGE", "ask_for_large_pages", "keep_freed_memory"]

LARGE_PAGE = 1 << 21  # bytes
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt


@cache
def keep_freed_memory() -> bool:
    """Let malloc keep large blocks that are freed, once per process; True if it could be told.

    A kernel that allocates its result asks for the same megabytes in each step. By default glibc
    gives them back to the system and gets them again page by page, at a cost of a fifth of the step
    of a convolution network. Linux with glibc only; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 1 << 30) and mallopt(_TRIM_THRESHOLD, (1 << 31) - 1))


def ask_for_large_pages(address: int, size_bytes: int) -> bool:
    """Ask for pages of LARGE_PAGE bytes instead of 4 KiB; True if the system will see to it.

    A processor remembers where some thousand pages lie, and a product walks down columns of them.
    ``address`` is a multiple of LARGE_PAGE, and nothing may have been written there yet. What is
    left behind the last whole page keeps small ones. On Linux; elsewhere nothing happens.
    """
    whole_bytes = size_bytes // LARGE_PAGE * LARGE_PAGE
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if advice is None or not whole_bytes:
        return False
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    return bool(madvise(address, whole_bytes, advice) == 0)
