"""Generated matrix products in the place of torch's. Layer: backends.

Torch's products run on as many threads as it may use; ours on one. So they stand in where torch has
one thread, or where a product is too small to share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch

from tinyflow import ops
from tinyflow.backends.native import NativeKernel, product_kernel
from tinyflow.backends.table import Array, Kernels, Native, Shapes
from tinyflow.backends.torch_ import TORCH
from tinyflow.codegen.product import Product
from tinyflow.ir import Op
from tinyflow.types import DType, is_static

__all__ = ["PRODUCTS"]

Attrs = Mapping[str, Any]
_SMALL = 1 << 20  # multiplications: some 20 microseconds of one core


def _matmul(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    return _kernel(_product(attrs, *shapes), dtypes)


def _gemm(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    if attrs["beta"] == 0:  # then c is not read
        return None
    product = _product(attrs, *shapes[1:])
    return _kernel(replace(product, alpha=attrs["alpha"], beta=attrs["beta"]), dtypes)


def _linear(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    (rows, *rest), (columns, depth) = shapes[:2]
    product = Product(rows, columns, depth, transpose_b=True, biased=len(shapes) == 3)
    return _kernel(product, dtypes) if math.prod(rest) == depth else None


def _batch_matmul(attrs: Attrs, shapes: Shapes, dtypes: Sequence[DType]) -> NativeKernel | None:
    (*many, _, _), (*same, _, _) = shapes
    if many != same:
        return None
    product = _product(attrs, shapes[0][-2:], shapes[1][-2:])
    return _kernel(replace(product, count=math.prod(many)), dtypes)


def _product(attrs: Attrs, a: tuple[int, ...], b: tuple[int, ...]) -> Product:
    flags = attrs["transpose_a"], attrs["transpose_b"]
    (rows, depth), columns = a[::-1] if flags[0] else a, b[0] if flags[1] else b[1]
    return Product(rows, columns, depth, *flags)


def _kernel(product: Product, dtypes: Sequence[DType]) -> NativeKernel | None:
    size = product.rows * product.columns * product.depth
    if size == 0 or any(dtype is not DType.float32 for dtype in dtypes):
        return None
    return _compiled(product) if size <= _SMALL or torch.get_num_threads() == 1 else None


_compiled = lru_cache(maxsize=1024)(product_kernel)


def _run(op: Op, native: Native) -> Callable[..., Array]:
    """The kernel on arrays: generated where they lie as it needs them, else torch's."""
    torch_run = TORCH[op].run

    def run(*inputs: Array, out: Array | None = None, **attrs: Any) -> Array:
        shapes = [tuple(x.shape) for x in inputs]
        kernel = native(attrs, shapes, [TORCH.dtype_of(x) for x in inputs])
        if kernel is None:
            return torch_run(*inputs, out=out, **attrs)
        if out is None:
            (shape,) = op.shape(attrs, shapes, (None,))[1]
            assert is_static(shape)  # as those of the inputs are
            out = TORCH.empty(shape, DType.float32)
        addresses = [TORCH.address(array) for array in (*inputs, out)]
        if None in addresses:
            return torch_run(*inputs, out=out, **attrs)
        kernel.call(*addresses)  # type: ignore[arg-type]  # ints
        return out

    return run


_NATIVE: Mapping[Op, Native] = {
    ops.matmul: _matmul, ops.gemm: _gemm, ops.linear: _linear, ops.batch_matmul: _batch_matmul
}  # fmt: skip
PRODUCTS: Kernels = {
    op: replace(TORCH[op], run=_run(op, native), native=native) for op, native in _NATIVE.items()
}
