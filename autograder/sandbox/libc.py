"""Functions of the C library that Python does not wrap. Layer: sandbox."""

from __future__ import annotations

import ctypes
import os

__all__ = ["libc"]


def libc(name: str, *arguments: int | bytes) -> int:
    """Result of the C function ``name``; raises OSError if it fails."""
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    result = int(getattr(ctypes.CDLL(None, use_errno=True), name)(*words))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result
