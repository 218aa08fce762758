"""Interpret a graph on copies of a session's variables, watching every node. Layer: runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyflow import ops
from tinyflow.backends.table import KernelTable
from tinyflow.ir import Graph, Value
from tinyflow.runtime.interpreter import Watch, interpret
from tinyflow.runtime.session import Session
from tinyflow.types import DType, as_dtype

__all__ = ["as_host", "observe"]

Array = np.ndarray[Any, Any]


def observe(
    session: Session, graph: Graph, feeds: Mapping[Value, Array], watch: Watch | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The outputs that the next run of ``session`` would have, and the variables after it.

    Both are arrays of the session's backend; the session stays as it is. Random ops draw what they
    will draw in that run.
    """
    kernels, saved = session.kernels, session.checkpoint()
    fed = {v: kernels.from_numpy(array, as_dtype(array.dtype)) for v, array in feeds.items()}
    state = {n: kernels.from_numpy(array, saved.dtypes[n]) for n, array in saved.arrays.items()}
    key = (saved.seed, saved.run_count + 1)
    with kernels.inference():
        return interpret(graph, fed, state, kernels, key, watch), state


def as_host(kernels: KernelTable, array: Any) -> Array:
    """A numpy array with the content of an array of the backend; bfloat16 becomes float32."""
    if isinstance(array, bool | int | float | np.ndarray | np.generic):
        return np.array(array)
    if kernels.dtype_of(array) is DType.bfloat16:
        array = kernels[ops.cast].run(array, dtype=DType.float32)
    return kernels.to_numpy(array)
