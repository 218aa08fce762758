"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BLOCK = 32_000_000  # bytes
PROGRAM = """
import ctypes, sys
import torch

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd",
        "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

if "keep" in sys.argv:
    from tinyflow.backends.memory import keep_freed_memory
    assert keep_freed_memory()
block = torch.ones(8_000_000)
del block
mallinfo = ctypes.CDLL(None).mallinfo
mallinfo.restype = Mallinfo
print(mallinfo().fordblks)
"""


def bytes_held(*words: str) -> int:
    """Free bytes malloc still holds after a block came and went, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, *words]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_block_that_was_freed_stays_with_the_process() -> None:
    assert bytes_held() < BLOCK <= bytes_held("keep")
