"""A stand-in for triton.language in numpy: enough to run what the generator prints.

One program after the other; a pointer is an array with an offset. Arithmetic is numpy's own.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from tinyflow.codegen.triton import TritonKernel

CURRENT = [0]


class Pointer:
    """An array and the elements of it that are meant."""

    def __init__(self, array: np.ndarray, index: Any = 0) -> None:
        self.array, self.index = array, index

    def __add__(self, offset: Any) -> Pointer:
        return Pointer(self.array, self.index + offset)


def load(pointer: Pointer, mask: Any = True, other: Any = 0) -> Any:
    """Elements where the mask allows; reading outside the array is an error."""
    index = np.where(mask, pointer.index, 0)
    found = pointer.array.reshape(-1)[index]
    return np.where(mask, found, np.asarray(other, found.dtype))[()]


def store(pointer: Pointer, value: Any, mask: Any = True) -> None:
    """Write where the mask allows."""
    index, value, mask = np.broadcast_arrays(pointer.index, value, mask)
    pointer.array.reshape(-1)[index[mask]] = value[mask]


def cast(x: Any, dtype: Any, bitcast: bool = False) -> Any:
    """As another dtype, or the same bits under its name."""
    return np.asarray(x).view(dtype)[()] if bitcast else np.asarray(x).astype(dtype)[()]


def language() -> ModuleType:
    """The module."""
    made = ModuleType("triton.language")
    made.__dict__.update(
        {"load": load, "store": store, "cast": cast, "where": np.where, "arange": np.arange},
        full=lambda shape, value, dtype: np.full(shape, value, dtype)[()],
        program_id=lambda axis: CURRENT[axis],
        sum=np.sum, max=np.max, sqrt=np.sqrt, abs=np.abs, floor=np.floor, constexpr=int,
        int1=np.bool_, int32=np.int32, int64=np.int64, float32=np.float32, float64=np.float64,
    )  # fmt: skip
    return made


def run_with_numpy(
    kernel: TritonKernel, arrays: list[np.ndarray], sizes: tuple[int, int], monkeypatch: Any
) -> None:
    """Run all programs of a kernel on numpy arrays."""
    package = ModuleType("triton")
    package.jit = lambda function: function
    package.language = language()
    monkeypatch.setitem(sys.modules, "triton", package)
    monkeypatch.setitem(sys.modules, "triton.language", package.language)
    names: dict[str, Any] = {}
    exec(kernel.source, names)
    for CURRENT[0] in range(kernel.grid):
        with np.errstate(all="ignore"):
            names["kernel"](*map(Pointer, arrays), *sizes, BLOCK=kernel.block)


def run_with_triton(
    kernel: TritonKernel, arrays: list[np.ndarray], sizes: tuple[int, int], tmp_path: Any
) -> None:
    """Run the kernel on a GPU; where there is none, by Triton's interpreter (see conftest.py)."""
    import importlib.util

    import torch

    path = tmp_path / "kernel.py"
    path.write_text(kernel.source)
    spec = importlib.util.spec_from_file_location("kernel", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensors = [torch.from_numpy(array).to(device) for array in arrays]
    module.kernel[(kernel.grid,)](*tensors, *sizes, BLOCK=kernel.block)
    for array, tensor in zip(arrays, tensors):
        array[...] = tensor.cpu().numpy()
