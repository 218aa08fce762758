"""What every numpy kernel is wrapped in. Layer: backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyflow.backends.table import Array, Kernel

__all__ = ["Axes", "direct", "plain"]

Axes = tuple[int, ...] | None


def plain(compute: Callable[..., Any]) -> Kernel:
    """Kernel of a function without ``out``: the result, or each of several, is copied there."""

    def run(*inputs: Any, out: Any = None, **attrs: Any) -> Any:
        with np.errstate(all="ignore"):
            result = compute(*inputs, **attrs)
        several = isinstance(result, tuple)
        results = tuple(map(np.asarray, result)) if several else (np.asarray(result),)
        if out is None:
            return results if several else results[0]
        for target, array in zip(out if several else (out,), results):
            np.copyto(target, array)
        return out

    return Kernel(run)


def direct(compute: Callable[..., Any]) -> Kernel:
    """Kernel of a function that fills ``out``."""

    def run(*inputs: Any, out: Array | None = None, **attrs: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(compute(*inputs, out=out, **attrs))

    return Kernel(run, writes_out=True)
