"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

PROGRAM = """
import resource, sys
import torch
if "keep" in sys.argv:
    from tinyflow.backends.memory import keep_freed_memory
    assert keep_freed_memory()
faults = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = torch.ones(8_000_000)
    del block
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(min(faults[1:]))
"""


def page_faults(*words: str) -> int:
    """Faults of allocating and freeing 32 MB again, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, *words]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_block_that_was_freed_is_there_again_without_page_faults() -> None:
    glibc = platform.libc_ver()[0] == "glibc"
    assert not glibc or page_faults("keep") < page_faults() / 10
