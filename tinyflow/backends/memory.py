"""Memory that is freed stays with the process. Layer: backends."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

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
