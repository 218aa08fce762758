"""What a failing kernel means to a user. Layer: runtime."""

from __future__ import annotations

import re

from tinyflow.errors import RunError
from tinyflow.ir import Node

__all__ = ["failure"]

# How numpy, torch and CUDA say that an array is too large.
_MEMORY = re.compile(
    r"allocate|out of memory|overflow|too big|too large|maximum possible size", re.I
)


def failure(
    error: BaseException, node: Node | None, size_bytes: int | None = None, fix: str | None = None
) -> RunError:
    """The error for an exception of a kernel at ``node``; out of memory names the bytes.

    ``size_bytes`` is what was to be allocated, if known; ``fix`` what else the user should know.
    """
    if not isinstance(error, MemoryError) and not _MEMORY.search(str(error)):
        return RunError(f"the kernel failed: {error}", node=node, fix=fix)
    got = str(error) if size_bytes is None else f"an array of {size_bytes:,} bytes"
    advice = "Use a smaller batch or shape."
    return RunError("out of memory", node=node, got=got, fix=f"{advice} {fix}" if fix else advice)
