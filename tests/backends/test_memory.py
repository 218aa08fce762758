"""Freed memory stays with the process; large blocks have large pages."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tinyflow.backends.memory import LARGE_PAGE, ask_for_large_pages
from tinyflow.backends.torch_ import TORCH

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


def flags_of(address: int) -> list[str]:
    """What the system knows of the memory at an address: "hg" where large pages are asked for."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            inside = start <= address < end
        elif inside and first == "VmFlags:":
            return rest
    return []


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="no large pages here"
)
def test_a_large_arena_has_large_pages_and_a_small_one_does_not() -> None:
    large, small = TORCH.arena(3 * LARGE_PAGE + 100), TORCH.arena(1000)
    assert large.data_ptr() % LARGE_PAGE == 0 and small.data_ptr() % 64 == 0
    assert len(large) >= 3 * LARGE_PAGE + 100
    assert "hg" in flags_of(large.data_ptr())


def test_less_than_a_large_page_is_not_asked_for() -> None:
    assert not ask_for_large_pages(0, LARGE_PAGE - 1)
