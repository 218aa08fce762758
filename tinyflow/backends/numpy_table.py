"""Arrays of numpy: how they are made, placed, read and named in emitted code. Layer: backends."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from tinyflow.backends.table import Array, KernelTable, Sizes, Strides
from tinyflow.types import DType, as_dtype

__all__ = ["NumpyTable"]


class NumpyTable(KernelTable):
    """Arrays are numpy arrays; see KernelTable."""

    def empty(self, shape: Sizes, dtype: DType, strides: Strides = None) -> Array:
        return np.empty(shape, dtype.numpy)

    def arena(self, size_bytes: int) -> Array:
        block = np.empty(size_bytes + 64, np.uint8)
        return block[-block.ctypes.data % 64 :]

    def place(
        self, arena: Array, offset_bytes: int, shape: Sizes, dtype: DType, strides: Strides = None
    ) -> Array:
        end_bytes = offset_bytes + math.prod(shape) * dtype.itemsize
        return arena[offset_bytes:end_bytes].view(dtype.numpy).reshape(shape)

    def from_numpy(self, array: Array, dtype: DType) -> Array:
        return np.array(array, dtype.numpy)

    def from_feed(self, array: Array) -> Array:
        return array

    def to_numpy(self, array: Array) -> Array:
        return np.array(array)

    def host_view(self, array: Array) -> Array | None:
        return array

    def dtype_of(self, array: Array) -> DType:
        return as_dtype(array.dtype)

    def shares_storage(self, a: Array, b: Array) -> bool:
        return np.may_share_memory(a, b)

    def address(self, array: Array, strides: Strides = None) -> int | None:
        return int(array.ctypes.data) if array.flags.carray else None

    def laid_out(self, array: Array, strides: Strides) -> Array:
        return np.ascontiguousarray(array)

    def address_source(self, name: str) -> str:
        return f"{name}.ctypes.data"

    def transpose(self, array: Array) -> Array:
        return array.T

    def transpose_source(self, name: str) -> str:
        return f"{name}.T"

    def copy_source(self, target: str, source: str) -> str:
        return f"copyto({target}, {source})"

    def inference(self) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")
