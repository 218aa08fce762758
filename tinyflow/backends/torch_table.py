"""Arrays of torch: how they are made, placed, read and named in emitted code. Layer: backends."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from tinyflow.backends.memory import LARGE_PAGE, ask_for_large_pages, keep_freed_memory
from tinyflow.backends.table import Array, Kernels, KernelTable, Namespace, Sizes, Strides
from tinyflow.backends.torch_kernel import DTYPES
from tinyflow.errors import DTypeError
from tinyflow.types import DType, as_dtype

__all__ = ["CPU", "TorchTable"]

CPU = torch.device("cpu")


class TorchTable(KernelTable):
    """Arrays are tensors of one device, the CPU unless told; see KernelTable."""

    def __init__(
        self, name: str, kernels: Kernels, namespace: Namespace, device: torch.device = CPU
    ) -> None:
        super().__init__(name, kernels, namespace)
        self.device = device

    def open(self) -> None:
        keep_freed_memory()

    def empty(self, shape: Sizes, dtype: DType, strides: Strides = None) -> Array:
        if strides is None:
            return torch.empty(shape, dtype=DTYPES[dtype], device=self.device)
        return torch.empty_strided(shape, strides, dtype=DTYPES[dtype], device=self.device)

    def arena(self, size_bytes: int) -> Array:
        large = size_bytes >= LARGE_PAGE and self.device == CPU
        edge_bytes = LARGE_PAGE if large else 64
        block = torch.empty(size_bytes + edge_bytes, dtype=torch.uint8, device=self.device)
        block = block[-block.data_ptr() % edge_bytes :]
        if large:
            ask_for_large_pages(block.data_ptr(), size_bytes)
        return block

    def place(
        self, arena: Array, offset_bytes: int, shape: Sizes, dtype: DType, strides: Strides = None
    ) -> Array:
        end_bytes = offset_bytes + math.prod(shape) * dtype.itemsize
        flat = arena[offset_bytes:end_bytes].view(DTYPES[dtype])
        return flat.view(shape) if strides is None else flat.as_strided(shape, strides)

    def from_numpy(self, array: Array, dtype: DType) -> Array:
        return torch.from_numpy(np.array(array)).to(self.device, DTYPES[dtype])

    def from_feed(self, array: Array) -> Array:
        if array.flags.carray:
            try:
                return torch.from_numpy(array)
            except ValueError:  # of a reversed axis, even one of size 1, which is contiguous
                pass
        return torch.from_numpy(array.copy())  # torch takes no read-only and no reversed arrays

    def to_numpy(self, array: Array) -> Array:
        if array.dtype is torch.bfloat16:
            raise DTypeError("numpy has no bfloat16", fix="Cast to float32 before fetching.")
        return array.numpy().copy()

    def host_view(self, array: Array) -> Array | None:
        return None if array.dtype is torch.bfloat16 else array.numpy()

    def dtype_of(self, array: Array) -> DType:
        return as_dtype(str(array.dtype).removeprefix("torch."))

    def shares_storage(self, a: Array, b: Array) -> bool:
        return bool(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr())

    def address(self, array: Array, strides: Strides = None) -> int | None:
        fits = array.is_contiguous() if strides is None else array.stride() == strides
        return int(array.data_ptr()) if fits else None

    def laid_out(self, array: Array, strides: Strides) -> Array:
        if strides is None:
            return array.contiguous()
        if array.stride() == strides:
            return array
        return array.new_empty_strided(array.shape, strides).copy_(array)

    def address_source(self, name: str) -> str:
        return f"{name}.data_ptr()"

    def transpose(self, array: Array) -> Array:
        return array.t()

    def transpose_source(self, name: str) -> str:
        return f"{name}.t()"

    def copy_source(self, target: str, source: str) -> str:
        return f"{target}.copy_({source})"

    def inference(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = torch._C._InferenceMode(True)
        return context  # what torch.inference_mode() enters, without two Python frames on the way
