"""How a test that runs as root becomes an ordinary user."""

from __future__ import annotations

import ctypes
import os
import struct


def become(uid: int) -> None:
    """Give up root for ``uid``, keeping the right to read, so that root's interpreter starts."""
    read_and_search, keep_capabilities, ambient, raise_it = 2, 8, 47, 2
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    libc.prctl(keep_capabilities, 1, 0, 0, 0)
    os.setresuid(uid, uid, uid)
    bit = 1 << read_and_search
    libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", bit, bit, bit, 0, 0, 0))
    libc.prctl(ambient, raise_it, read_and_search, 0, 0)
